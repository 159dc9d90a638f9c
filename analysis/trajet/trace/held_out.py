"""Loss per token on fixed documents, dropout off, without a trace left in the run.

A training loss as reported is taken with dropout on and while the weights move; minus a dev loss it is no
generalisation gap. Here the same N train and N dev documents are scored with the same weights, both with
dropout off. The gap is loss_per_token["dev"] - loss_per_token["train"].
"""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline import DependencyParser, EntityRecognizer, Tagger, TextCategorizer
from spacy.pipeline.tok2vec import Tok2Vec
from spacy.training import Example
from spacy.util import resolve_dot_names

from trajet.errors import UserError
from trajet.parser_states import parser_loss
from trajet.trace.format import short_number
from trajet.trace.unchanged import training_state_kept

# How far into the train corpus the fixed documents are looked for; an endless one, which draws or reads anew, must not
# keep the training waiting.
_READ_AT_MOST = 50_000
_READ_OF_ENDLESS = 10
_BATCH = 64

Losses = dict[str, float]


class HeldLosses:
    """Scores N fixed train and N fixed dev documents.

    Args:
        nlp: the pipeline in training; its config's `training.train_corpus` gives the train documents.
        count: N, fewer where a corpus has fewer.
    """

    def __init__(self, nlp: Language, count: int):
        self.nlp, self.count = nlp, count
        self._train = _sample(_train_corpus(nlp, count), count)
        self._dev: list[Example] | None = None

    def measure(
        self, dev: Iterable[Example], exclude: tuple[str, ...], annotates: tuple[str, ...], update: Callable
    ) -> dict[str, Losses]:
        """Loss per token by component, for "train" and "dev".

        For a parser or an entity recogniser it is the sum over parser states of the squared norm of the score
        gradient, as spaCy reports it, divided by the tokens; for other components what their `update` reports.
        The shared tok2vec's entry in spaCy's losses is a gradient norm and is left out.

        Args:
            dev: the evaluation's examples; the first call chooses among them.
            exclude, annotates: as the run gives them to `nlp.update`.
            update: the pipeline's own `update`.
        """
        if self._dev is None:
            self._dev = _sample(dev, self.count)
        return {
            "train": self._loss_per_token(self._train, exclude, annotates, update),
            "dev": self._loss_per_token(self._dev, exclude, annotates, update),
        }

    def _loss_per_token(self, references: list[Example], exclude, annotates, update) -> Losses:
        pipes = {
            name: pipe
            for name, pipe in self.nlp.pipeline
            if name not in exclude and getattr(pipe, "is_trainable", False)
        }
        parsers = [name for name, pipe in pipes.items() if _is_parser(pipe)]
        others = [name for name, pipe in pipes.items() if not _is_parser(pipe) and not _is_shared_layer(pipe)]
        examples = [example for example in references if all(_knows(pipe, example) for pipe in pipes.values())]
        tokens = sum(len(example.reference) for example in examples)
        if not tokens:
            return {}
        losses: Losses = dict.fromkeys((*parsers, *others), 0.0)
        for start in range(0, len(examples), _BATCH):
            batch = [_fresh(self.nlp, example) for example in examples[start : start + _BATCH]]
            if parsers:
                self._add_parser_losses(batch, parsers, annotates, losses)
            if others:
                batch = [_fresh(self.nlp, example) for example in examples[start : start + _BATCH]]
                with training_state_kept(self.nlp):
                    found: Losses = {}
                    update(batch, drop=0.0, sgd=False, losses=found, exclude=list(exclude), annotates=list(annotates))
                for name in others:
                    losses[name] += float(found.get(name, 0.0))
        return {name: short_number(value / tokens) for name, value in losses.items()}

    def _add_parser_losses(self, batch: list[Example], parsers: list[str], annotates, losses: Losses) -> None:
        """Forward passes only: shared layers and annotating components as at prediction, then the parser's states."""
        docs = [example.predicted for example in batch]
        for name, pipe in self.nlp.pipeline:
            if name in parsers:
                losses[name] += parser_loss(pipe, batch)
            if _is_shared_layer(pipe) or name in annotates:
                pipe.set_annotations(docs, pipe.predict(docs))


def _train_corpus(nlp: Language, count: int) -> Iterator[Example]:
    config = nlp.config.interpolate()
    try:
        (corpus,) = resolve_dot_names(config, [config["training"]["train_corpus"]])
        endless = config["training"]["max_epochs"] == -1
        return islice(corpus(nlp), min(_READ_AT_MOST, _READ_OF_ENDLESS * count) if endless else _READ_AT_MOST)
    except Exception as error:  # confection, readers and the disk each have errors of their own
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"trace: losses_on needs the corpus that [training] train_corpus names, which cannot be read ({reason}); "
            "mend it or set losses_on = 0"
        ) from None


def _sample(examples: Iterable[Example], count: int) -> list[Example]:
    """`count` examples, each as likely as the next (reservoir sampling), from a generator of its own."""
    rng = random.Random(0)
    kept: list[Example] = []
    for seen, example in enumerate(examples):
        if len(kept) < count:
            kept.append(example)
        elif (place := rng.randrange(seen + 1)) < count:
            kept[place] = example
    return kept


def _fresh(nlp: Language, example: Example) -> Example:
    """The example with a prediction side that nothing has been written on."""
    predicted = example.predicted.copy()
    predicted.tensor = np.zeros((0,), dtype="float32")
    return Example(predicted, example.reference)


def _is_parser(pipe: Any) -> bool:
    return hasattr(pipe, "moves") and hasattr(pipe, "get_batch_loss")


def _is_shared_layer(pipe: Any) -> bool:
    return isinstance(pipe, Tok2Vec) or hasattr(pipe, "listener_map")


def _knows(pipe: Any, example: Example) -> bool:
    """Whether the component knows all labels of the example: an unknown one would resize a parser or raise."""
    labels = set(getattr(pipe, "labels", ()))
    reference = example.reference
    if isinstance(pipe, EntityRecognizer):
        return {entity.label_ for entity in reference.ents} <= labels
    if isinstance(pipe, DependencyParser):
        return {token.dep_ for token in reference if token.dep_} <= labels | {"dep", "ROOT"}
    if isinstance(pipe, TextCategorizer):
        return set(reference.cats) <= labels
    if isinstance(pipe, Tagger) and type(pipe) is Tagger:
        return {token.tag_ for token in reference if token.tag_} <= labels
    return True
