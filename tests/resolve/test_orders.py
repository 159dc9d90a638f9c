"""What becomes of the spans that a pipeline finds."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from spacy.language import Language

from tests.resolve.conftest import LEARNT
from trajet.corpus.places import Place
from trajet.marked import marked_example
from trajet.resolve.canonical import Gazetteer
from trajet.resolve.formats import csv_line, json_line
from trajet.resolve.language import french_detector
from trajet.resolve.lines import Line, read_lines
from trajet.resolve.orders import BATCH_LETTERS, Order, PlaceSpan, Settings, resolve

PLACES = {
    "town": [Place("Marseille", "town", 9.0), Place("Le Mans", "town", 3.0), Place("Saint-Étienne", "town", 4.0)],
    "abroad": [Place("Nice-sur-Lune", "abroad", 1.0)],
}


def _orders(nlp: Language, *sentences: str, **settings) -> list[Order]:
    lines = [Line(number, str(number), sentence) for number, sentence in enumerate(sentences, 1)]
    return [order for orders in resolve(nlp, lines, Settings(**settings)) for order in orders]


def _rows(nlp: Language, *numbers: int, **settings) -> list[str]:
    texts = [marked_example(nlp, LEARNT[number]).reference.text for number in numbers]
    return [csv_line(order).rstrip("\n") for order in _orders(nlp, *texts, **settings)]


def test_both_sides_one_side_none(nlp: Language) -> None:
    assert _rows(nlp, 0, 1, 2, 4) == ["1,Marseille,Paris", "2,,marseile", "3,Mans,", "4,NOT_TRIP,"]


def test_of_several_the_first_counts(nlp: Language) -> None:
    assert _rows(nlp, 3) == ["1,Lyon,Nice"]
    (order,) = _orders(nlp, marked_example(nlp, LEARNT[3]).reference.text)
    assert [span.text for span in order.spans] == ["Lyon", "Nice", "Toulon"]


def test_strict_wants_both_sides(nlp: Language) -> None:
    assert _rows(nlp, 0, 1, 2, 4, strict=True) == ["1,Marseille,Paris", "2,NOT_TRIP,", "3,NOT_TRIP,", "4,NOT_TRIP,"]


def test_canonical_names_where_one_is_near(nlp: Language) -> None:
    rows = _rows(nlp, 1, 2, 6, 3, gazetteer=Gazetteer(PLACES))
    assert rows == ["1,,Marseille", "2,Le Mans,", "3,Lille,Saint-Étienne", "4,Lyon,Nice"]


def test_text_without_letters_is_unknown_and_not_read(nlp: Language) -> None:
    orders = _orders(nlp, "12:30 !", "", "…", "Il pleut sur la ville")
    assert [order.status for order in orders] == ["UNKNOWN", "UNKNOWN", "UNKNOWN", "NOT_TRIP"]
    assert [bool(order.words) for order in orders] == [False, False, False, True]
    assert csv_line(orders[0]) == "1,UNKNOWN,\n"


def test_another_language_is_not_french_where_there_is_a_detector(nlp: Language) -> None:
    assert _rows(nlp, 7, 0) == ["1,Marseille,Paris", "2,Marseille,Paris"]
    assert _rows(nlp, 7, 0, is_french=french_detector()) == ["1,NOT_FRENCH,", "2,Marseille,Paris"]


def test_the_detector_does_not_see_the_places(nlp: Language) -> None:
    seen = []
    _orders(nlp, "Je veux aller de Marseille à Paris", is_french=lambda text: seen.append(text) or True)
    assert [text.split() for text in seen] == [["Je", "veux", "aller", "de", "à"]]


def test_json_has_everything(nlp: Language) -> None:
    text = "Je vais de Lille vers st etienne"
    (order,) = _orders(nlp, text, scores=True, gazetteer=Gazetteer(PLACES))
    value = json.loads(json_line(order, canonical=True))
    scores = [span.pop("score") for span in value["spans"]]
    assert value == {
        "id": "1", "sentence": text, "departure": "Lille", "arrival": "Saint-Étienne", "status": "TRIP",
        "spans": [
            {"start": 11, "end": 16, "label": "DEP", "text": "Lille", "place": None},
            {"start": 22, "end": 32, "label": "ARR", "text": "st etienne",
             "place": {"name": "Saint-Étienne", "distance": 0, "kind": "town"}},
        ],
    }  # fmt: skip
    assert all(0.5 < score["confidence"] <= score["min"] <= score["mean"] <= 1 for score in scores)
    assert [*scores[0]] == ["confidence", "mean", "min"]
    (plain,) = _orders(nlp, text)
    value = json.loads(json_line(plain))
    assert value["arrival"] == "st etienne"
    assert value["spans"][0] == {"start": 11, "end": 16, "label": "DEP", "text": "Lille", "score": None}


def test_json_of_no_trip_has_nulls(nlp: Language) -> None:
    (order,) = _orders(nlp, "Un billet pour marseile s'il vous plaît", strict=True)
    value = json.loads(json_line(order))
    assert (value["status"], value["departure"], value["arrival"]) == ("NOT_TRIP", None, None)
    assert [span["text"] for span in value["spans"]] == ["marseile"]


def test_fields_that_would_break_the_csv_are_quoted_and_names_lie_on_one_line() -> None:
    span = PlaceSpan(0, 5, "DEP", "Aix\u2028 en\tProvence")
    order = Order(Line(1, 'a,"b', "x"), "TRIP", span.name, "Lyon, Part-Dieu")
    assert csv_line(order) == '"a,""b",Aix en Provence,"Lyon, Part-Dieu"\n'


def test_entities_of_others_are_kept_without_score(nlp: Language) -> None:
    ruler = nlp.add_pipe("entity_ruler", config={"overwrite_ents": True})
    ruler.add_patterns([{"label": "ARR", "pattern": "chapeau"}, {"label": "PER", "pattern": "pleut"}])
    hat, rain = _orders(nlp, "J'ai perdu mon chapeau, dommage", "Il pleut sur la ville", scores=True)
    assert [(span.text, span.score) for span in hat.spans] == [("chapeau", None)]
    assert (rain.status, rain.spans) == ("NOT_TRIP", ())


@pytest.mark.parametrize("batch", [1, 3, 256])
def test_batches_change_nothing_and_the_vocabulary_forgets(nlp: Language, batch: int) -> None:
    texts = [marked_example(nlp, marked).reference.text for marked in LEARNT] * 3
    expected = [tuple((e.start_char, e.end_char, e.label_) for e in nlp(text).ents) for text in texts]
    known = len(nlp.vocab.strings)
    sentences = [*texts, *(f"Inouï{number}x" for number in range(20)), "12"]
    orders = _orders(nlp, *sentences, batch=batch)
    assert [order.line.number for order in orders] == list(range(1, len(sentences) + 1))
    found = [tuple((s.start, s.end, s.label) for s in order.spans) for order in orders]
    assert found[: len(texts)] == expected
    assert len(nlp.vocab.strings) == known


class _Generated(io.RawIOBase):
    """20,000 lines, each made when it is read."""

    def __init__(self) -> None:
        self.made = 0

    def readable(self) -> bool:
        return True

    def readline(self, limit: int = -1) -> bytes:
        if self.made == 20_000:
            return b""
        self.made += 1
        return f"{self.made},Il pleut sur la ville {self.made}\n".encode()


def test_no_line_is_read_before_its_batch_is_asked_for(nlp: Language) -> None:
    source = _Generated()
    batches = resolve(nlp, read_lines(source), Settings(batch=50))
    assert source.made == 0
    for count in (1, 2, 3):
        assert len(next(batches)) == 50
        assert source.made == 50 * count


def test_twenty_thousand_lines_pass_one_by_one() -> None:
    source = _Generated()
    for count, line in enumerate(read_lines(source), 1):
        assert source.made == count
        assert line.id == str(count)
    assert count == 20_000


def test_long_lines_make_small_batches(nlp: Language) -> None:
    def lines() -> Iterator[Line]:
        for number in range(1, 10):
            read.append(number)
            yield Line(number, str(number), "Il pleut. " * (BATCH_LETTERS // 20))

    read: list[int] = []
    batches = resolve(nlp, lines(), replace(Settings(), batch=256))
    assert len(next(batches)) == 2
    assert read == [1, 2]
