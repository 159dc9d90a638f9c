"""configs/accurate.cfg, made small: two trainings, one result; what is saved; the side task's part in it."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config

from tests import conftest
from tests.conftest import ROOT
from tests.corpus.small_sources import small_sources
from trajet.errors import UserError
from trajet.training.side_task import without_pipes

SMALL: dict[str, Any] = {
    **{key: value for key, value in conftest.SMALL.items() if key.startswith("components")},
    "training.max_steps": 30,
    "training.eval_frequency": 30,
    "training.optimizer.learn_rate.warmup_steps": 5,
    "training.before_update": None,
}


def _train(sources: Path, dev: Path, folder: Path, seed: int = 0) -> Language:
    overrides = {**SMALL, "paths.corpus": str(sources), "paths.dev": str(dev), "system.seed": seed}
    nlp = init_nlp(load_config(ROOT / "configs" / "accurate.cfg", overrides=overrides))
    folder.mkdir()
    with (folder / "log").open("w") as log:
        train(nlp, folder, stdout=log, stderr=log)
    return nlp


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def dev(small_corpus: Path) -> Path:
    return small_corpus / "dev.spacy"


@pytest.fixture(scope="module")
def trained(sources: Path, dev: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Language, Path]:
    folder = tmp_path_factory.mktemp("runs") / "a"
    return _train(sources, dev, folder), folder


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("config.cfg", "meta.json")
    }


def test_one_seed_gives_the_same_model_and_another_another(trained, sources, dev, tmp_path: Path) -> None:
    _, first = trained
    _train(sources, dev, tmp_path / "b")
    _train(sources, dev, tmp_path / "c", seed=1)
    assert _files(first / "model-last") == _files(tmp_path / "b" / "model-last")
    assert _files(first / "model-last") != _files(tmp_path / "c" / "model-last")


def test_the_side_task_is_trained_and_not_saved(trained, dev: Path) -> None:
    nlp, folder = trained
    assert nlp.pipe_names == ["tok2vec", "roles", "ner"]
    assert set(nlp.get_pipe("roles").labels) == {"DEP", "ARR", "PLACE", "O"}
    saved = spacy.load(folder / "model-last")
    assert saved.pipe_names == ["tok2vec", "ner"]
    assert "roles" not in (folder / "model-last" / "config.cfg").read_text(encoding="utf8").replace("roles = true", "")
    texts = [doc.text for doc in DocBin().from_disk(dev).get_docs(nlp.vocab)]
    scores = [
        [pipeline.get_pipe("ner").model.predict([pipeline.get_pipe("tok2vec")(pipeline.make_doc(text))]).tokvecs.tolist()
         for text in texts[:5]]
        for pipeline in (nlp, saved)
    ]  # fmt: skip
    assert scores[0] == scores[1]


def test_the_side_task_reaches_the_shared_layer(trained) -> None:
    nlp, _ = trained
    listeners = nlp.get_pipe("tok2vec").listening_components
    assert set(listeners) == {"roles", "ner"}


@pytest.mark.parametrize(("names", "word"), [(["nobody"], "no component 'nobody'"), (["tok2vec", "ner"], "leaves no")])
def test_what_cannot_be_left_out_is_named(names, word, tmp_path: Path) -> None:
    nlp = spacy.blank("fr")
    nlp.add_pipe("tok2vec")
    nlp.add_pipe("ner")
    with pytest.raises(UserError, match=word):
        without_pipes(names)(nlp)
