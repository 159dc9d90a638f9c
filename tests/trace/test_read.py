"""The reader: torn lines, damaged files, newer formats, non-finite numbers."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from trajet.errors import UserError
from trajet.trace import read_trace
from trajet.trace.format import encode

HEADER = {"kind": "run", "format": "1.0", "watch": [], "optimizer": {},
          "parameters": [{"name": "a/x-0/W", "component": "a", "shape": [2], "size": 2}, {"name": "a/x-0/b", "component": "a", "shape": [1], "size": 1}]}  # fmt: skip


def _step(step: int, **more) -> str:
    row = {"kind": "step", "step": step, "epoch": 0, "learn_rate": 0.1, "losses": {"a": 1.5}, "docs": 1, "words": 2, "seconds": 0.1,
           "global_grad_norm": 1.0, "global_update_norm": 0.1, "tensors_updated": 2, "tensors_clipped": 0} | more  # fmt: skip
    columns = {"grad_norm": [3.0, None], "clipped": [1, None], "weight_norm": [math.nan, None], "update_norm": [math.inf, None],
               "gradient_part_norm": [-math.inf, None], "decay_part_norm": [1e-45, None]}  # fmt: skip
    return encode(row, columns)


def _write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.write_text("\n".join([json.dumps(HEADER), *lines]) + end, encoding="utf8")
    return path


def test_non_finite_numbers_survive_and_null_means_not_updated(tmp_path: Path) -> None:
    line = _step(0, learn_rate=math.nan)
    assert json.loads(line)["weight_norm"] == ["nan", None]  # strict JSON: other readers can read it
    tensors = read_trace(_write(tmp_path / "t.jsonl", line)).tensors
    assert len(tensors) == 1
    row = tensors.iloc[0]
    assert row["parameter"] == "a/x-0/W"
    assert np.isnan(row["weight_norm"])
    assert row["update_norm"] == np.inf
    assert row["gradient_part_norm"] == -np.inf
    assert row["decay_part_norm"] == pytest.approx(1e-45)


@pytest.mark.parametrize("keep", [1, 20, 200])
def test_a_torn_last_line_is_left_out(tmp_path: Path, keep: int) -> None:
    path = _write(tmp_path / "t.jsonl", _step(0), _step(1)[:keep], end="")
    trace = read_trace(path)
    assert list(trace.steps["step"]) == [0]
    assert trace.torn


def test_unknown_keys_and_kinds_are_ignored(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.jsonl", _step(0, news=[1, 2]), '{"kind":"remark","text":"hello"}')
    assert len(read_trace(path).steps) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no complete first line"),
        ('{"kind":"run","for', "no complete first line"),
        ('{"kind":"step"}\n', "no trace header"),
        ("hello\nworld\n", ":1: not a line of a trace"),
        (json.dumps({**HEADER, "format": "2.0"}) + "\n", "format 2.0 is newer"),
        (json.dumps(HEADER) + "\n{broken\n" + _step(0) + "\n", ":2: not a line of a trace"),
        (json.dumps(HEADER) + "\n" + json.dumps(HEADER) + "\n", ":2: a second run begins here"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(text, encoding="utf8")
    with pytest.raises(UserError) as caught:
        read_trace(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such trace"):
        read_trace(tmp_path / "t.jsonl")


def test_a_header_alone_gives_empty_frames(tmp_path: Path) -> None:
    trace = read_trace(_write(tmp_path / "t.jsonl"))
    assert trace.steps.empty
    assert trace.tensors.empty
    assert trace.evaluations.empty
