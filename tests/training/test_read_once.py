"""trajet.ReadOnce.v1: the same training as with spaCy's own reader, the file read once."""

from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from trajet.errors import UserError
from trajet.training.read_once import read_once


def test_the_training_is_the_same(fit) -> None:
    def edit(config) -> None:
        path = config["corpora"]["train"]["path"]
        config["corpora"]["train"] = {"@readers": "trajet.ReadOnce.v1", "path": path}

    assert fit("once", edit=edit).nlp.to_bytes(exclude=["config"]) == fit("plain").nlp.to_bytes(exclude=["config"])


def test_the_file_is_read_once_for_each_pipeline(small_corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.spacy"
    path.write_bytes((small_corpus / "train.spacy").read_bytes())
    nlp, read = spacy.blank("fr"), read_once(str(path))
    first = [example.text for example in read(nlp)]
    path.unlink()
    assert [example.text for example in read_once(str(path))(nlp)] == first
    with pytest.raises(UserError, match="cannot be read"):
        list(read(spacy.blank("fr")))
    DocBin().to_disk(path)
    assert list(read(spacy.blank("fr"))) == []
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"train\.spacy: cannot be read"):
        list(read(spacy.blank("fr")))
