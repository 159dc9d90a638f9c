"""Rows of words in the hash embedding, and their way through a real training."""

import json
from pathlib import Path

import numpy as np
import pytest
from spacy.tokens import DocBin

from tests.conftest import ROOT, SMALL, run_script
from trajet.errors import UserError
from trajet.plots import words as picture
from trajet.plots.style import save
from trajet.trace import read_trace
from trajet.words.life import word_lives
from trajet.words.rows import word_rows
from trajet.words.train import train_watching

WORDS = ["Paris", "Pontarlier"]


@pytest.fixture(scope="module")
def watched(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory):
    """(trace, rows) of a short training that watched both words."""
    path = tmp_path_factory.mktemp("words") / "trace.jsonl"
    overrides = {**SMALL, "paths.train": str(small_corpus / "train.spacy"), "paths.dev": str(small_corpus / "dev.spacy")}  # fmt: skip
    return path, train_watching(ROOT / "configs" / "base.cfg", WORDS, 30, path, overrides)


def test_a_words_vector_is_the_sum_of_its_rows_and_the_traffic_is_counted(fit, small_corpus: Path) -> None:
    nlp = fit("a").nlp
    docs = list(DocBin().from_disk(small_corpus / "train.spacy").get_docs(nlp.vocab))
    table = next(node for node in nlp.get_pipe("tok2vec").model.walk() if node.name == "hashembed")
    E = table.get_param("E")
    for found in word_rows(nlp, WORDS, docs):
        norm = nlp.make_doc(found.word)[0].norm
        vector = table.predict(np.array([norm], dtype="uint64"))[0]
        assert E[list(found.rows)].sum(axis=0) == pytest.approx(vector, rel=1e-5)
        assert found.count == sum(token.norm == norm for doc in docs for token in doc)
        # The traffic of its first row, word by word, by the layer's own hash.
        ids = np.array([token.norm for doc in docs for token in doc], dtype="uint64")
        keys = table.ops.hash(ids, table.attrs["seed"]) % E.shape[0]
        assert found.shared[0] == int((keys == found.rows[0]).any(axis=1).sum())
        assert found.watches == [f"tok2vec/hashembed-0/E[{row},:]" for row in dict.fromkeys(found.rows)]


def test_the_way_is_the_sum_of_the_recorded_updates(watched) -> None:
    path, rows = watched
    trace = read_trace(path)
    for found, life in zip(rows, word_lives(path, rows), strict=True):
        table = trace.watched[trace.watched["watch"].isin(found.watches)]
        lengths = table.assign(u=(table["w_after"] - table["w"]) ** 2).groupby("step")["u"].sum() ** 0.5
        assert life.step.tolist() == list(range(30))
        assert life.path == pytest.approx(lengths.cumsum().to_numpy())
        first = table[table["step"] == 0].set_index(["watch", "index"])["w"]
        last = table[table["step"] == 29].set_index(["watch", "index"])["w_after"]
        assert life.distance[-1] == pytest.approx(np.linalg.norm(last - first))
        assert life.distance[-1] <= life.path[-1] * (1 + 1e-6)
        assert life.touched.sum() == (table[table["g"] != 0]["step"].nunique())
        assert life.untouched_path == pytest.approx(lengths[~life.touched].sum())
    # Rate 0 at the first update: nothing has moved.
    assert life.path[0] == 0


def test_the_command_compares_adam_and_sgd(small_corpus: Path, tmp_path: Path) -> None:
    from spacy.util import load_config

    config = tmp_path / "small.cfg"
    block = {**SMALL, "paths.train": str(small_corpus / "train.spacy"), "paths.dev": str(small_corpus / "dev.spacy")}
    load_config(ROOT / "configs" / "base.cfg", overrides=block).to_disk(config)
    done = run_script("rare_words", "--config", config, "--steps", 20, "--output", tmp_path / "words.json",
                      "--plots", tmp_path / "plots")  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "words.json").read_text(encoding="utf8"))
    assert [(row["optimizer"], row["word"]) for row in rows] == [(o, w) for o in ("Adam", "SGD") for w in WORDS]
    assert rows[0]["in the corpus"] > rows[1]["in the corpus"]
    assert (tmp_path / "plots" / "rare-and-frequent.svg").exists()
    assert "touched steps" in done.stdout
    assert "SGD: Pontarlier" in done.stdout


def test_the_picture_of_the_same_lives_is_the_same_bytes(watched, tmp_path: Path) -> None:
    path, rows = watched
    curves = picture.data({"Adam": word_lives(path, rows)})
    assert [curve.word for curve in curves] == WORDS
    files = [save(picture.draw(curves), tmp_path / name) for name in ("one", "two")]
    assert [p.read_bytes() for p in files[0]] == [p.read_bytes() for p in files[1]]


def test_what_cannot_be_followed_is_refused(fit) -> None:
    nlp = fit("a").nlp
    with pytest.raises(UserError, match="'Le Mans' is 2 tokens"):
        word_rows(nlp, ["Le Mans"], [])
    with pytest.raises(UserError, match="no component 'tagger'"):
        word_rows(nlp, WORDS, [], "tagger")


def test_a_bad_rate_is_refused() -> None:
    done = run_script("rare_words", "--sgd-rate", "0")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
