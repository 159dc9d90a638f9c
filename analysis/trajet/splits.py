"""What a pipeline's config was trained on and watched by, counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language

from trajet.corpus.frames import load_fillers, load_frames
from trajet.corpus.stream import training_frames
from trajet.errors import UserError
from trajet.evaluation import load_docs

_STREAM = "trajet.Frames.v1"
# Readers that give what stands in the .spacy file at their `path`.
_FILES = ("spacy.Corpus.v1", "trajet.ReadOnce.v1")


@dataclass(frozen=True)
class Split:
    """How much a split holds: documents, and the hand-written frames they were made from.

    Attributes:
        documents: None where they are drawn from the frames without end.
    """

    documents: int | None
    frames: int


def read_splits(nlp: Language) -> dict[str, Split]:
    """The splits "train" and "dev", as [corpora.train] and [corpora.dev] of the pipeline's config have them.

    Raises:
        UserError: the config does not say what was read, or it is not there.
    """
    corpora = nlp.config.interpolate().get("corpora", {})
    return {name: _split(nlp, name, corpora.get(name) or {}) for name in ("train", "dev")}


def _split(nlp: Language, name: str, block: Mapping[str, Any]) -> Split:
    reader, path = block.get("@readers"), block.get("path")
    where = f"{nlp.path / 'config.cfg' if nlp.path else 'config'}: [corpora.{name}]"
    if reader not in (_STREAM, *_FILES):
        raise UserError(
            f"{where} has the reader {reader}; what it gives cannot be counted: "
            f"use a pipeline trained with one of {', '.join((_STREAM, *_FILES))}"
        )
    if not path:
        raise UserError(f"{where} names no path; write there what the pipeline was trained with")
    if reader == _STREAM:
        frames = load_frames(Path(path), load_fillers(Path(path) / "fillers"))
        return Split(None, len(training_frames(frames, block.get("seed", 0), block.get("share", 1.0))))
    # A vocabulary of its own: the pipeline's would take in every word.
    docs = load_docs(spacy.blank(nlp.lang), Path(path))
    return Split(len(docs), len({doc.user_data.get("frame") for doc in docs}))
