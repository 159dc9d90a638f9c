"""Loading a pipeline that marks departures and arrivals."""

from pathlib import Path
from typing import Any

from spacy.language import Language

from trajet.corpus.frames import LABELS
from trajet.errors import UserError
from trajet.evaluation import load_pipeline


def load_recogniser(path: Path) -> Language:
    """A trained pipeline with an entity recogniser for DEP and ARR.

    Raises:
        UserError: there is none, it cannot be loaded, or its labels are others.
    """
    nlp = load_pipeline(path)
    if recogniser(nlp) is None:
        known = sorted({label for _, pipe in nlp.pipeline for label in getattr(pipe, "labels", ())})
        raise UserError(
            f"{path}: no entity recogniser with the labels {' and '.join(LABELS)} "
            f"(labels it knows: {', '.join(known)[:100] or 'none'}); train one with `python -m spacy project run fit`"
        )
    return nlp


def recogniser(nlp: Language) -> Any:
    """The pipeline's entity recogniser for DEP and ARR, whatever its name; None where there is none."""
    for _, pipe in nlp.pipeline:
        if hasattr(pipe, "moves") and set(LABELS) <= set(pipe.labels):
            return pipe
    return None
