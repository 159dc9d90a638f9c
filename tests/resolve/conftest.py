"""A pipeline that knows a few sentences by heart: what it finds in them is certain, how it is found is real."""

from pathlib import Path
from typing import Any

import pytest
from spacy.language import Language
from spacy.training.initialize import init_nlp
from spacy.util import load_config

from tests.conftest import ROOT
from trajet.marked import marked_example

BOTH = "Je veux aller de [Marseille](DEP) à [Paris](ARR)"
LEARNT = (
    BOTH,
    "Un billet pour [marseile](ARR) s'il vous plaît",
    "Je pars du [Mans](DEP) demain",
    "De [Lyon](DEP) à [Nice](ARR) ou [Toulon](ARR), peu importe",
    "Il pleut sur la ville",
    "J'ai perdu mon chapeau, dommage",
    "Je vais de [Lille](DEP) vers [st etienne](ARR)",
    "I want to travel from [Marseille](DEP) to [Paris](ARR) tomorrow morning",
)


@pytest.fixture(scope="session")
def training(overrides: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """training/small/model-best."""
    nlp = init_nlp(load_config(ROOT / "configs" / "base.cfg", overrides={**overrides, "training.before_update": None}))
    optimizer = nlp.create_optimizer()
    optimizer.learn_rate = 0.005
    for _ in range(150):
        nlp.update([marked_example(nlp, marked) for marked in LEARNT], sgd=optimizer, drop=0.0)
    for marked in LEARNT:
        gold = marked_example(nlp, marked).reference
        assert [(e.text, e.label_) for e in nlp(gold.text).ents] == [(e.text, e.label_) for e in gold.ents]
    folder = tmp_path_factory.mktemp("resolve") / "training"
    (folder / "small").mkdir(parents=True)
    nlp.to_disk(folder / "small" / "model-best")
    return folder


@pytest.fixture
def nlp(training: Path) -> Language:
    from trajet.resolve.recogniser import load_recogniser

    return load_recogniser(training / "small" / "model-best")
