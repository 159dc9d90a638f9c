"""An order as a line: CSV or JSON."""

import csv
import json
from io import StringIO
from typing import Any

from trajet.resolve.orders import TRIP, Order, PlaceSpan


def csv_line(order: Order) -> str:
    """ "7,Lyon,Paris": id, departure, arrival; the status and an empty field where it is no trip."""
    fields = (order.departure, order.arrival) if order.status == TRIP else (order.status, "")
    line = StringIO()
    csv.writer(line, lineterminator="\n").writerow((order.line.id, *fields))
    return line.getvalue()


def json_line(order: Order, canonical: bool = False) -> str:
    """One JSON object; what is not there is null. With `canonical` each span says which place it was taken for."""
    value = {
        "id": order.line.id,
        "sentence": order.line.sentence,
        "departure": order.departure or None,
        "arrival": order.arrival or None,
        "status": order.status,
        "spans": [_span(span, canonical) for span in order.spans],
    }
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def _span(span: PlaceSpan, canonical: bool) -> dict[str, Any]:
    score = span.score and {
        "confidence": round(span.score.confidence, 4), "mean": round(span.score.mean, 4), "min": round(span.score.least, 4),
    }  # fmt: skip
    value: dict[str, Any] = {
        "start": span.start, "end": span.end, "label": span.label, "text": span.text, "score": score,
    }  # fmt: skip
    if canonical:
        place = span.place
        value["place"] = place and {"name": place.name, "distance": place.distance, "kind": place.kind}
    return value
