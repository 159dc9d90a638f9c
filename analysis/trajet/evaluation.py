"""Scores of a trained pipeline: per label, per sentence, by group, with what kind of mistake was made."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from trajet.corpus.frames import LABELS
from trajet.errors import UserError
from trajet.msgpack import extensions_found_once
from trajet.parser_states import gold_move_log_probs, run_before
from trajet.statistics import f_over_frames, percentile_interval

Span = tuple[int, int, str]
# Whatever finds spans in texts, trained or not: one set of spans a text.
Predictor = Callable[[Sequence[str]], list[frozenset[Span]]]


@dataclass(frozen=True)
class Outcome:
    """One sentence: gold and predicted spans (start, end, label) in characters, its group (phenomenon) and its frame.

    Challenge sentences also say how they are said and spelt, see `trajet.corpus.challenge`.
    """

    gold: frozenset[Span]
    predicted: frozenset[Span]
    group: str
    frame: str
    register: str = "neutral"
    noise: str = "none"

    @property
    def counts(self) -> tuple[int, int, int]:
        """True positives, false positives, false negatives; a span counts with its label and both borders."""
        return len(self.gold & self.predicted), len(self.predicted - self.gold), len(self.gold - self.predicted)


def load_pipeline(path: Path) -> Language:
    """A trained pipeline.

    Raises:
        UserError: there is none, or it cannot be loaded.
    """
    if not (Path(path) / "meta.json").exists():
        raise UserError(f"{path}: no trained pipeline there; run `python -m spacy project run fit` first")
    try:
        return spacy.load(path)
    except Exception as error:  # a damaged folder ends in whatever its part's reader raises
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be loaded as a spaCy pipeline: {reason}") from None


def load_docs(nlp: Language, path: Path) -> list[Doc]:
    """Gold documents of a .spacy file.

    Raises:
        UserError: no such file, or not a DocBin.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; run `python -m spacy project run corpus` first")
    try:
        with extensions_found_once():
            return list(DocBin().from_disk(path).get_docs(nlp.vocab))
    except Exception:  # msgpack, zlib and srsly each have errors of their own
        raise UserError(
            f"{path}: not a .spacy file; build it again with `python -m spacy project run corpus`"
        ) from None


def predictor(nlp: Language) -> Predictor:
    """A pipeline as something that finds spans in texts."""
    return lambda texts: [spans_of_doc(doc) for doc in nlp.pipe(texts)]


def outcomes(nlp: Language, golds: Sequence[Doc]) -> list[Outcome]:
    """Predict every gold document's text and set the spans side by side."""
    return outcomes_of(predictor(nlp), golds)


def outcomes_of(predict: Predictor, golds: Sequence[Doc]) -> list[Outcome]:
    """The same for whatever finds spans."""
    predicted = predict([doc.text for doc in golds])
    return [
        Outcome(
            spans_of_doc(gold), spans, gold.user_data.get("phenomenon", ""), gold.user_data.get("frame", ""),
            gold.user_data.get("register", "neutral"), gold.user_data.get("noise", "none"),
        )
        for gold, spans in zip(golds, predicted, strict=True)
    ]  # fmt: skip


def precision_recall_f(counts: Iterable[tuple[int, int, int]]) -> dict[str, float]:
    """Micro precision, recall and F over (tp, fp, fn); 0 where nothing was found."""
    tp, fp, fn = (sum(column) for column in zip(*counts, strict=True)) if (counts := list(counts)) else (0, 0, 0)
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    return {"p": precision, "r": recall, "f": 2 * tp / (2 * tp + fp + fn) if tp else 0.0}


def score(results: Sequence[Outcome]) -> dict[str, Any]:
    """All scores of a set of sentences.

    Returns:
        "entities" and one entry a label: p, r, f; "sentence_accuracy": share of sentences with no mistake;
        "errors": counts of swaps, boundary errors, misses and spurious spans; "confusion": gold x predicted.
    """
    by_label = {
        label: precision_recall_f(
            Outcome(_only(r.gold, label), _only(r.predicted, label), "", "").counts for r in results
        )
        for label in LABELS
    }
    return {
        "sentences": len(results),
        "entities": precision_recall_f(r.counts for r in results),
        "labels": by_label,
        "sentence_accuracy": sum(r.gold == r.predicted for r in results) / len(results) if results else 0.0,
        "errors": error_kinds(results),
        "confusion": confusion(results),
    }


def error_kinds(results: Iterable[Outcome]) -> dict[str, int]:
    """How the model is wrong, each gold or predicted span counted once.

    swap: right borders, other label. boundary: overlaps a gold span, borders differ. missed: a gold span with
    nothing predicted on it. spurious: a predicted span on no gold span.
    """
    kinds = dict.fromkeys(("swap", "boundary", "missed", "spurious"), 0)
    for result in results:
        borders = {span[:2] for span in result.predicted}
        for span in result.gold - result.predicted:
            kinds["swap" if span[:2] in borders else "boundary" if _overlaps(span, result.predicted) else "missed"] += 1
        kinds["spurious"] += sum(not _overlaps(span, result.gold) for span in result.predicted - result.gold)
    return kinds


def confusion(results: Iterable[Outcome]) -> dict[str, dict[str, int]]:
    """gold label -> predicted label -> count, over spans with the same borders; "none" is no such span."""
    table = {gold: dict.fromkeys((*LABELS, "none"), 0) for gold in (*LABELS, "none")}
    for result in results:
        gold = {span[:2]: span[2] for span in result.gold}
        predicted = {span[:2]: span[2] for span in result.predicted}
        for borders in gold.keys() | predicted.keys():
            table[gold.get(borders, "none")][predicted.get(borders, "none")] += 1
    return table


def by_group(results: Sequence[Outcome], of: str = "group") -> dict[str, dict[str, float]]:
    """Sentences, F and sentence accuracy by phenomenon; F is left out where no sentence has a gold span.

    Args:
        of: field of `Outcome` to group by: group, register or noise.
    """
    groups: dict[str, list[Outcome]] = {}
    for result in results:
        groups.setdefault(getattr(result, of), []).append(result)
    table = {}
    for group, members in sorted(groups.items()):
        row: dict[str, float] = {
            "sentences": len(members),
            "sentence_accuracy": sum(r.gold == r.predicted for r in members) / len(members),
        }
        if any(r.gold for r in members):
            row["f"] = precision_recall_f(r.counts for r in members)["f"]
        table[group] = row
    return table


def macro_f(groups: dict[str, dict[str, float]]) -> float:
    """Mean F over the phenomena that have spans."""
    values = [row["f"] for row in groups.values() if "f" in row]
    return float(np.mean(values)) if values else 0.0


def bootstrap_f(results: Sequence[Outcome], seed: int) -> tuple[float, float]:
    """95 % interval of micro F over other frames, see `trajet.statistics.f_over_frames`."""
    frames: dict[str, np.ndarray] = {}
    for result in results:
        frames[result.frame] = frames.get(result.frame, np.zeros(3)) + np.array(result.counts)
    return percentile_interval(f_over_frames(np.array(list(frames.values())), seed))


def move_perplexity(nlp: Language, golds: Sequence[Doc], component: str = "ner") -> float:
    """exp of the mean negative log-probability of the gold moves, a state each; 1 is certain and right."""
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in golds]
    for start in range(0, len(examples), nlp.batch_size):
        run_before(nlp, [example.predicted for example in examples[start : start + nlp.batch_size]], component)
    values = np.concatenate(
        [
            gold_move_log_probs(nlp.get_pipe(component), examples[start : start + nlp.batch_size])
            for start in range(0, len(examples), nlp.batch_size)
        ]
    )
    return float(np.exp(-values.mean()))


def words_per_second(nlp: Language, texts: Sequence[str], repeats: int = 3) -> float:
    """Tokens predicted a second, the best of some rounds; for the eye, never compared in a test."""
    best = 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        words = sum(len(doc) for doc in nlp.pipe(texts))
        best = max(best, words / (time.perf_counter() - start))
    return best


def spans_of_doc(doc: Doc) -> frozenset[Span]:
    """A document's entities in characters."""
    return frozenset((ent.start_char, ent.end_char, ent.label_) for ent in doc.ents)


def _only(spans: frozenset[Span], label: str) -> frozenset[Span]:
    return frozenset(span for span in spans if span[2] == label)


def _overlaps(span: Span, others: Iterable[Span]) -> bool:
    return any(span[0] < end and start < span[1] for start, end, _ in others)
