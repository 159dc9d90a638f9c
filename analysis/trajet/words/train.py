"""A short training that watches the rows of chosen words."""

import random
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import resolve_dot_names

from trajet.config import load_config
from trajet.words.rows import WordRows, word_rows


def train_watching(config: Path, words: list[str], steps: int, trace: Path, overrides: dict[str, Any],
                   optimizer: dict[str, Any] | None = None) -> list[WordRows]:  # fmt: skip
    """Train a config for some updates with spaCy's own loop and record the rows of `words` in `trace`.

    Args:
        config: as for `spacy train`.
        words: one token each.
        steps: updates.
        overrides: of the config, by dotted name.
        optimizer: a block in place of the config's [training.optimizer].

    Raises:
        UserError: a bad config, a word that is no single token, an unwritable trace.
    """
    settings = {**overrides, "training.max_steps": steps - 1, "training.patience": 0}
    loaded = load_config(config, settings)
    if optimizer:
        loaded["training"]["optimizer"] = optimizer
    seed = loaded.get("system", {}).get("seed", 0)
    random.seed(seed)
    nlp = init_nlp(loaded)
    found = word_rows(nlp, words, _train_docs(nlp))
    watches = [watch for word in found for watch in word.watches]
    nlp.config["training"]["before_update"] = {
        "@callbacks": "trajet.OptimizerTrace.v1", "path": str(trace), "level": "steps", "watch": list(dict.fromkeys(watches)),
    }  # fmt: skip
    train(nlp, None)
    return found


def _train_docs(nlp: Language):
    config = nlp.config.interpolate()
    (corpus,) = resolve_dot_names(config, [config["training"]["train_corpus"]])
    return [example.reference for example in corpus(nlp)]
