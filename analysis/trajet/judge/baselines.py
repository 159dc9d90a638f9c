"""Trained runs beside systems that learn nothing, on the same sentences."""

from collections.abc import Sequence
from typing import Any

from spacy.tokens import Doc

from trajet.evaluation import Outcome, Predictor, Span, by_group, macro_f, outcomes_of, precision_recall_f

# key in the metrics -> column of the tables
COLUMNS = {"p": "P", "r": "R", "f": "F", "macro_f": "macro F", "negatives_right": "negatives all right"}


def constant(texts: Sequence[str]) -> list[frozenset[Span]]:
    """Finds nothing, ever; right on every sentence without a trip."""
    return [frozenset() for _ in texts]


def compare(systems: dict[str, Predictor], sets: dict[str, Sequence[Doc]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Scores by system and set of gold documents."""
    return {
        name: {part: scores(outcomes_of(predict, golds)) for part, golds in sets.items()}
        for name, predict in systems.items()
    }


def scores(results: Sequence[Outcome]) -> dict[str, Any]:
    """Micro precision, recall and F, macro F over phenomena, and the share of negatives left alone.

    Returns:
        "sentences", "negatives" (those without a gold span), and COLUMNS; "negatives_right" is None without negatives.
    """
    negatives = [result for result in results if not result.gold]
    right = sum(not result.predicted for result in negatives)
    return {
        "sentences": len(results),
        "negatives": len(negatives),
        **precision_recall_f(result.counts for result in results),
        "macro_f": macro_f(by_group(results)),
        "negatives_right": right / len(negatives) if negatives else None,
    }
