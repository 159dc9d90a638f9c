"""trajet.ReadOnce.v1: the same training as with spaCy's own reader, the file read once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus
from thinc.api import Config

from trajet.errors import UserError
from trajet.registry import read_once as registered
from trajet.training.read_once import read_once

NOISE = {"@augmenters": "trajet.Noise.v1", "habits": {"typo": 0.5}, "seed": 3}


@pytest.mark.parametrize(
    ("settings", "max_epochs"),
    [
        ({}, 0),
        ({"limit": 80, "max_length": 12}, 0),
        ({"gold_preproc": True}, 0),
        ({"augmenter": NOISE}, 0),
        # Each of several epochs draws anew.
        ({"limit": 60, "augmenter": NOISE}, -1),
    ],
)
def test_the_training_is_the_same(fit, settings: dict[str, Any], max_epochs: int) -> None:
    def with_reader(name: str) -> Callable[[Config], None]:
        def edit(config: Config) -> None:
            for split in ("train", "dev"):
                config["corpora"][split]["@readers"] = name
            config["corpora"]["train"].update(settings)

        return edit

    ours, theirs = (
        fit(name, edit=with_reader(reader), **{"training.max_epochs": max_epochs})
        for name, reader in (("ours", "trajet.ReadOnce.v1"), ("theirs", "spacy.Corpus.v1"))
    )
    assert ours.nlp.to_bytes(exclude=["config"]) == theirs.nlp.to_bytes(exclude=["config"])
    assert [row["scores"] for row in ours.log] == [row["scores"] for row in theirs.log]


@pytest.mark.parametrize(
    ("settings", "first", "count"),
    [
        ({}, "Un billet . Pour Metz . ", 4),
        ({"limit": 2}, "Un billet . Pour Metz . ", 2),
        # The sentences of the first, and nothing of those without.
        ({"max_length": 6}, "Un billet . ", 2),
        ({"gold_preproc": True}, "Un billet . ", 5),
    ],
)
def test_it_gives_what_spacys_own_reader_gives(
    tmp_path: Path, settings: dict[str, Any], first: str, count: int
) -> None:
    nlp = spacy.blank("fr")
    two = Doc(nlp.vocab, words=["Un", "billet", ".", "Pour", "Metz", "."], sent_starts=[1, 0, 0, 1, 0, 0])
    DocBin(docs=[two, *map(nlp, ["De Metz à Nancy, s'il te plaît"] * 3)]).to_disk(tmp_path / "a.spacy")
    for path in (tmp_path, tmp_path / "a.spacy"):
        ours = [(e.text, e.reference.to_json()) for e in read_once(str(path), **settings)(nlp)]
        assert ours == [(e.text, e.reference.to_json()) for e in Corpus(path, **settings)(nlp)]
        assert (ours[0][0], len(ours)) == (first, count)


def test_the_file_is_read_once_for_each_pipeline(small_corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.spacy"
    path.write_bytes((small_corpus / "train.spacy").read_bytes())
    nlp, read = spacy.blank("fr"), read_once(str(path))
    first = [example.text for example in read(nlp)]
    few = [example.text for example in read_once(str(path), limit=5)(nlp)]
    assert few == first[:5]
    path.unlink()
    assert [example.text for example in read_once(str(path))(nlp)] == first
    assert [example.text for example in read_once(str(path), limit=5)(nlp)] == few
    with pytest.raises(UserError, match="cannot be read"):
        read_once(str(path), limit=6)(nlp)
    with pytest.raises(UserError, match="cannot be read"):
        read(spacy.blank("fr"))
    DocBin().to_disk(path)
    assert list(read(spacy.blank("fr"))) == []
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"train\.spacy: cannot be read"):
        read(spacy.blank("fr"))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (None, "error: [corpora]: trajet.ReadOnce.v1: path is empty; give the documents, such as --paths.train FILE\n"),
        ("nowhere.spacy", "error: nowhere.spacy: cannot be read ("),
    ],
)
def test_a_mistake_ends_a_training_with_one_line(
    path: str | None, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        registered(path)(spacy.blank("fr"))
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(line)
    assert error.count("\n") == 1
