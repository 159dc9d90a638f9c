"""Reading a trace as tidy frames; also one that is still being written, or whose run was killed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import srsly

from trajet.errors import UserError
from trajet.trace.format import FORMAT, FULL_COLUMNS, TENSOR_COLUMNS, WATCHED_COLUMNS, decode_number


@dataclass(frozen=True)
class Trace:
    """A trace, read.

    Attributes:
        header: the first line.
        steps: a row an update; losses as `loss_<component>`, other scheduled values as `scheduled_<name>`.
        tensors: a row an update and parameter: step, parameter, component, size and the columns of the level;
            parameters that were not updated have no row.
        evaluations: a row an evaluation; scores as `score_<name>`, losses per token on held documents as
            `train_loss_<component>` and `dev_loss_<component>`.
        predictions: a row an evaluation and sentence.
        watched: a row an update and watched weight: step, watch, index within the watch, w, g, m, v, ...
        followed: a row a token of each followed sentence, every 25th step: step, sentence, position, token, its
            right move, the probability of that move before the update.
        torn: whether a last, incomplete line was left out.
    """

    path: Path
    header: dict
    steps: pd.DataFrame
    tensors: pd.DataFrame
    evaluations: pd.DataFrame
    predictions: pd.DataFrame
    watched: pd.DataFrame
    followed: pd.DataFrame
    torn: bool = False

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters in the header's order."""
        return [parameter["name"] for parameter in self.header["parameters"]]


def read_trace(path: str | Path) -> Trace:
    """Read a trace file.

    Raises:
        UserError: no such file, not a trace, a newer format, or a bad line that is not the last.
    """
    path = Path(path)
    header: dict | None = None
    steps: list[dict] = []
    evaluations: list[dict] = []
    chunks: list[tuple[list[dict], list[dict]]] = []
    torn = False
    for number, row in read_rows(path):
        if row is None:
            torn = True
            break
        kind = row.get("kind")
        if header is None:
            header = _check_header(path, kind, row)
            chunks.append((row["parameters"], []))
        elif kind == "step":
            steps.append(row)
            chunks[-1][1].append(row)
        elif kind == "parameters":
            chunks.append((row["parameters"], []))
        elif kind == "evaluation":
            evaluations.append(row)
        elif kind == "run":
            raise UserError(f"{path}:{number}: a second run begins here; one file holds one run")
    if header is None:
        raise UserError(f"{path}: no complete first line; the run ended before its first update, train again")
    tensors = [_tensor_frame(parameters, rows) for parameters, rows in chunks if rows]
    return Trace(
        path=path,
        header=header,
        steps=_step_frame(steps),
        tensors=pd.concat(tensors, ignore_index=True) if tensors else _tensor_frame([], []),
        evaluations=_evaluation_frame(evaluations),
        predictions=_prediction_frame(evaluations),
        watched=_watched_frame(header.get("watch", []), steps),
        followed=_followed_frame(header.get("follow", []), steps),
        torn=torn,
    )


def read_rows(path: Path) -> Iterator[tuple[int, dict | None]]:
    """(line number, row) of a trace, line by line; the row is None for a torn last line.

    For what a frame would be too large for; `read_trace` is the usual way.

    Raises:
        UserError: no such file, or a line that is not a trace's.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such trace; train with [training.before_update] set to trajet.OptimizerTrace.v1"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    with file:
        for number, line in enumerate(file, 1):
            complete = line.endswith(b"\n")
            try:
                row = srsly.json_loads(line.decode("utf8"))
                if not isinstance(row, dict):
                    raise ValueError("not an object")
            except ValueError:
                if not complete:
                    yield number, None
                    return
                raise UserError(f"{path}:{number}: not a line of a trace; the file is damaged or is no trace") from None
            if not complete and row.get("kind") != "run":
                yield number, None
                return
            yield number, row


def _check_header(path: Path, kind: object, row: dict) -> dict:
    if kind != "run" or "format" not in row:
        raise UserError(f"{path}:1: no trace header; is this file a trace of trajet.OptimizerTrace.v1?")
    if int(str(row["format"]).split(".")[0]) > int(FORMAT.split(".")[0]):
        raise UserError(f"{path}: format {row['format']} is newer than this reader's ({FORMAT}); update trajet")
    return row


def _step_frame(rows: list[dict]) -> pd.DataFrame:
    plain = ("step", "epoch", "learn_rate", "docs", "words", "seconds",
             "global_grad_norm", "global_update_norm", "tensors_updated", "tensors_clipped")  # fmt: skip
    frame = pd.DataFrame({name: [row.get(name) for row in rows] for name in plain})
    for name in ("learn_rate", "seconds", "global_grad_norm", "global_update_norm"):
        frame[name] = [decode_number(value) for value in frame[name]]
    for group, prefix in (("losses", "loss_"), ("scheduled", "scheduled_")):
        for key in dict.fromkeys(key for row in rows for key in row.get(group) or {}):
            frame[prefix + key] = [decode_number((row.get(group) or {}).get(key)) for row in rows]
    if any("global_clip_factor" in row for row in rows):
        frame["global_clip_factor"] = [decode_number(row.get("global_clip_factor")) for row in rows]
    return frame


def _tensor_frame(parameters: list[dict], rows: list[dict]) -> pd.DataFrame:
    names = [name for name in TENSOR_COLUMNS + FULL_COLUMNS if rows and name in rows[0]]
    values = {name: _matrix([row[name] for row in rows], len(parameters)) for name in names}
    size = len(parameters) if names else 0
    frame = pd.DataFrame({
        "step": np.repeat(np.array([row["step"] for row in rows], dtype=int), size),
        "parameter": pd.Categorical.from_codes(
            np.tile(np.arange(size), len(rows)), categories=[parameter["name"] for parameter in parameters][:size] or None
        ) if size else pd.Categorical([]),
        "component": pd.Categorical(np.tile([parameter["component"] for parameter in parameters][:size], len(rows))),
        "size": np.tile(np.array([parameter["size"] for parameter in parameters][:size], dtype=int), len(rows)),
        **{name: matrix.ravel() for name, matrix in values.items()},
    })  # fmt: skip
    # null means "not updated"; a norm may be nan and its row must stay, so the flag decides.
    return frame[frame["clipped"].notna()].reset_index(drop=True) if names else frame


def _matrix(lists: list[list], width: int) -> np.ndarray:
    try:
        matrix = np.array(lists, dtype=float)  # null becomes nan, "nan" and "inf" are read as numbers
    except (TypeError, ValueError):
        matrix = np.array([[decode_number(value) for value in row] for row in lists], dtype=float)
    return matrix.reshape(len(lists), width)


def _evaluation_frame(rows: list[dict]) -> pd.DataFrame:
    records = []
    for row in rows:
        record: dict = {"step": row["step"], "epoch": row.get("epoch"), "seconds": decode_number(row.get("seconds")),
                        "trace_seconds": decode_number(row.get("trace_seconds"))}  # fmt: skip
        record |= {
            f"score_{name}": decode_number(value) for name, value in row.get("scores", {}).items() if _is_number(value)
        }
        for part, losses in (row.get("loss_per_token") or {}).items():
            record |= {f"{part}_loss_{name}": decode_number(value) for name, value in losses.items()}
        memory = row.get("peak_memory_bytes") or {}
        record |= {f"peak_memory_{name}": value for name, value in memory.items()}
        records.append(record)
    return pd.DataFrame(records if records else {"step": [], "epoch": [], "seconds": [], "trace_seconds": []})


def _is_number(value: object) -> bool:
    # Scores may also be tables by label or remarks ("macro F").
    return value is None or isinstance(value, int | float) or value in ("nan", "inf", "-inf")


def _prediction_frame(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"step": row["step"], "text": shown["text"], "ents": [tuple(ent) for ent in shown["ents"]]}
            for row in rows
            for shown in row.get("predictions") or []
        ],
        columns=["step", "text", "ents"],
    )


def _followed_frame(sentences: list[dict], rows: list[dict]) -> pd.DataFrame:
    records = [
        (row["step"], number, position, sentence["tokens"][position], sentence["moves"][position], decode_number(value))
        for row in rows
        for number, (sentence, values) in enumerate(zip(sentences, row.get("followed") or [], strict=False))
        for position, value in enumerate(values)
    ]
    return pd.DataFrame(records, columns=["step", "sentence", "position", "token", "move", "probability"])


def _watched_frame(texts: list[str], rows: list[dict]) -> pd.DataFrame:
    records = []
    for row in rows:
        for text, entry in zip(texts, row.get("watched") or [], strict=False):
            if entry is None:
                continue
            columns = {name: entry.get(name) for name in WATCHED_COLUMNS}
            for index in range(len(entry["w"])):
                values = {
                    name: decode_number(None if column is None else column[index]) for name, column in columns.items()
                }
                records.append({"step": row["step"], "watch": text, "index": index, **values})
    return pd.DataFrame(records, columns=["step", "watch", "index", *WATCHED_COLUMNS])
