"""Sentences to orders: who is asked for what, batch by batch, in constant memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from spacy.language import Language
from spacy.tokens import Doc

from trajet.corpus.frames import LABELS
from trajet.resolve.canonical import Gazetteer, Match
from trajet.resolve.lines import Line
from trajet.resolve.recogniser import recogniser
from trajet.resolve.scores import Score, span_scores

TRIP, NOT_TRIP, NOT_FRENCH, UNKNOWN = STATUSES = ("TRIP", "NOT_TRIP", "NOT_FRENCH", "UNKNOWN")
# A batch ends with this many letters even if it has few lines: 256 lines of the greatest length would be gigabytes.
BATCH_LETTERS = 100_000


@dataclass(frozen=True)
class PlaceSpan:
    """A departure or arrival as written: borders in characters of the sentence, label, text.

    `score` is there where scores are asked for and the recogniser itself found the span, `place` where canonical
    names are asked for and one is near.
    """

    start: int
    end: int
    label: str
    text: str
    score: Score | None = None
    place: Match | None = None

    @property
    def name(self) -> str:
        """The canonical name, or what is written, on one line."""
        return self.place.name if self.place else " ".join(self.text.split())


@dataclass(frozen=True)
class Order:
    """What a line asks for.

    Attributes:
        status: TRIP; NOT_TRIP: nothing is asked for; NOT_FRENCH; UNKNOWN: not a letter in it.
        departure, arrival: the first span of each label; "" where there is none or the status is not TRIP.
        spans: all that were found, in the order of the sentence.
        words: tokens the pipeline read.
    """

    line: Line
    status: str
    departure: str = ""
    arrival: str = ""
    spans: tuple[PlaceSpan, ...] = ()
    words: int = 0


@dataclass(frozen=True)
class Settings:
    """How orders are made.

    Attributes:
        batch: lines given to the pipeline at a time.
        strict: a trip needs both sides.
        scores: whether spans get scores.
        is_french: tells French from other text; None takes all text for French.
        gazetteer: gives canonical names; None leaves names as written.
    """

    batch: int = 256
    strict: bool = False
    scores: bool = False
    is_french: Callable[[str], bool] | None = None
    gazetteer: Gazetteer | None = None


def resolve(nlp: Language, lines: Iterable[Line], settings: Settings) -> Iterator[list[Order]]:
    """Orders of `lines`, in their order, as lists of a batch each; no batch is read before it is asked for."""
    for batch in _batches(lines, settings.batch):
        # What the vocabulary learns from a batch goes with it.
        with nlp.memory_zone():
            orders = _resolve_batch(nlp, batch, settings)
        yield orders


def _batches(lines: Iterable[Line], size: int) -> Iterator[list[Line]]:
    batch: list[Line] = []
    letters = 0
    for line in lines:
        batch.append(line)
        letters += len(line.sentence)
        if len(batch) >= size or letters >= BATCH_LETTERS:
            yield batch
            batch, letters = [], 0
    if batch:
        yield batch


def _resolve_batch(nlp: Language, batch: list[Line], settings: Settings) -> list[Order]:
    readable = [line for line in batch if any(char.isalpha() for char in line.sentence)]
    docs = list(nlp.pipe([line.sentence for line in readable], batch_size=len(readable) or 1))
    scores = span_scores(recogniser(nlp), docs) if settings.scores and docs else [{} for _ in docs]
    made = {
        line.number: _order(line, doc, table, settings) for line, doc, table in zip(readable, docs, scores, strict=True)
    }
    return [made.get(line.number) or Order(line, UNKNOWN) for line in batch]


def _order(line: Line, doc: Doc, scores: dict[tuple[int, int, str], Score], settings: Settings) -> Order:
    found = [ent for ent in doc.ents if ent.label_ in LABELS]
    spans = tuple(
        PlaceSpan(
            ent.start_char,
            ent.end_char,
            ent.label_,
            ent.text,
            scores.get((ent.start, ent.end, ent.label_)),
            settings.gazetteer.find(ent.text) if settings.gazetteer else None,
        )
        for ent in found
    )
    departure, arrival = (next((span.name for span in spans if span.label == label), "") for label in LABELS)
    if settings.is_french and not settings.is_french(_without(line.sentence, spans)):
        return Order(line, NOT_FRENCH, spans=spans, words=len(doc))
    if not (departure and arrival if settings.strict else departure or arrival):
        return Order(line, NOT_TRIP, spans=spans, words=len(doc))
    return Order(line, TRIP, departure, arrival, spans, len(doc))


def _without(sentence: str, spans: tuple[PlaceSpan, ...]) -> str:
    """The sentence without the places found in it: names tell nothing about its language."""
    for span in reversed(spans):
        sentence = f"{sentence[: span.start]} {sentence[span.end :]}"
    return sentence
