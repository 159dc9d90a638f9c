"""A real small training that all tests of the judge share."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config

from tests.conftest import ROOT


@pytest.fixture(scope="session")
def small_run(overrides: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one in it, `base`: three hundred updates of a small pipeline."""
    training = tmp_path_factory.mktemp("training")
    settings = {
        **overrides, "training.before_update": None, "training.max_steps": 300, "training.eval_frequency": 100,
        "training.optimizer.learn_rate": 0.005,
    }  # fmt: skip
    nlp = init_nlp(load_config(ROOT / "configs" / "base.cfg", overrides=settings))
    (training / "base").mkdir()
    train(nlp, training / "base", stdout=StringIO(), stderr=StringIO())
    return training
