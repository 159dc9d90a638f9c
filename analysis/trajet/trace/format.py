"""The trace file: JSON Lines, one object a line, told apart by its "kind".

    run         first line: versions, seed, optimizer settings, parameters
    step        one update
    parameters  the list of parameters changed in mid-run; replaces the header's from here on
    evaluation  scores, losses on held documents, predictions, memory

Columns of a step that hold one number a parameter are index-aligned with the list of parameters;
null means that the parameter was not updated. Non-finite numbers are the strings nan, inf, -inf.
"""

import json
import math
from collections.abc import Sequence

FORMAT = "1.0"
LEVELS = ("steps", "tensors", "full")

# One number a parameter, at level tensors and above ...
TENSOR_COLUMNS = ("grad_norm", "clipped", "weight_norm", "update_norm", "gradient_part_norm", "decay_part_norm")
# ... and at level full.
FULL_COLUMNS = ("mom1_norm", "mom2_norm", "effective_eps", "cos_update_descent", "cos_previous_gradient")
# What is kept of a watched weight.
WATCHED_COLUMNS = ("w", "g", "clip_factor", "m", "v", "gradient_part", "decay_part", "w_after")

_TENSOR_DIGITS = "%.6g"
_WATCHED_DIGITS = "%.9g"


def encode(row: dict, columns: dict[str, Sequence[float | None]] | None = None) -> str:
    """One line of the file, without its newline.

    Args:
        row: any JSON values; floats keep their shortest exact form.
        columns: lists of numbers, written with 6 significant digits.
    """
    text = json.dumps(_plain(row), ensure_ascii=False, separators=(",", ":"))
    if not columns:
        return text
    lists = (f'"{name}":[{",".join(map(_number, values))}]' for name, values in columns.items())
    return f"{text[:-1]},{','.join(lists)}}}"


def watched_number(value: float) -> float:
    """A float as a trace keeps it for watched weights: 9 significant digits, exact for float32."""
    return float(_WATCHED_DIGITS % value)


def short_number(value: float) -> float:
    """A float with the 6 significant digits that norms are kept with."""
    return float(_TENSOR_DIGITS % value)


def decode_number(value: object) -> float:
    """The float behind a number, a null (nan) or one of the strings nan, inf, -inf."""
    return math.nan if value is None else float(value)  # type: ignore[arg-type]


def _number(value: float | None) -> str:
    if value is None:
        return "null"
    if not math.isfinite(value):
        return f'"{value}"'
    text = _TENSOR_DIGITS % value
    # The same digits in fewer bytes: 20,000 rows of 31 tensors hold four million numbers.
    if "e" in text:
        return text.replace("e-0", "e-").replace("e+0", "e")
    if text.startswith("0.000"):
        return f"{text[5]}.{text[6:] or '0'}e-4"
    return text


def _plain(value: object) -> object:
    """JSON values only: numpy scalars unwrapped, non-finite floats as strings."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
