"""The comparison against numbers worked by hand, its tables, and what the command says and leaves behind."""

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts import compare as command
from scripts._cli import run
from tests.conftest import run_script
from trajet import statistics
from trajet.errors import UserError
from trajet.experiments.comparison.compare import compare, signed
from trajet.experiments.comparison.part import part_of
from trajet.experiments.comparison.tables import tables, to_csv, to_markdown
from trajet.experiments.result import Result
from trajet.experiments.studies.exported import curve_of, read_study

# Gold spans of ten frames; 100 in all, so that a count is a hundredth.
GOLD = (10, 10, 10, 10, 10, 10, 10, 10, 10, 10)


def result(name: str, seed: int, right: int | Sequence[int], **changes: Any) -> dict:
    """A finished training that found `right` of the 100 gold spans (or of each frame's) and nothing wrong."""
    each = [right // 10 + (i < right % 10) for i in range(10)] if isinstance(right, int) else list(right)
    counts = [[tp, 0, gold - tp] for tp, gold in zip(each, GOLD, strict=True)]
    f = 2 * sum(each) / (sum(each) + 100)
    evaluations = [
        {"step": step, "ents_f": round(f * share, 4), "ents_p": 1.0, "ents_r": 0.5, "words_seen": 100 * step,
         "train_loss": 2.0 - share, "dev_loss": 2.2 - share}
        for step, share in ((0, 0.0), (100, 0.5), (200, 1.0))
    ]  # fmt: skip
    optimizer = {
        "clipped_share": 0.5,
        "update_ratio_median": 1e-3,
        "grad_norm_median": 5.0,
        "decay_to_gradient_median": 1e-2,
    }
    made = Result(
        name, seed, "00", evaluations, round(f, 4), round(f, 4), 200, False, [], counts, optimizer, 201, None, 1000,
        {"spacy": "3.8"},
    )  # fmt: skip
    values = {**made.to_dict(), **changes}
    del values["frames"]
    return values


def write(path: Path, results: Sequence[dict], **header: Any) -> Path:
    """A file as the export makes it."""
    first = {"kind": "study", "study": "s", "budget": 200, "frames": [f"frames/x.txt:{i}" for i in range(10)], **header}
    path.write_text("\n".join(json.dumps(row) for row in [first, *results]) + "\n", encoding="utf8")
    return path


VARIANTS = {
    "base": {"group": "base", "question": "What does it reach?"},
    "good": {"group": "rate", "question": "Is more rate better?"},
    "same": {"group": "clip", "question": "Does the clip matter?"},
    "bad": {"group": "rate", "question": "Is less rate worse?"},
}
RIGHT = {"base": (60, 62, 64), "good": (70, 73, 74), "same": (63, 60, 64), "bad": (20, 21, 24)}


@pytest.fixture
def study_path(tmp_path: Path) -> Path:
    rows = [result(name, seed, n) for name, numbers in RIGHT.items() for seed, n in enumerate(numbers)]
    return write(tmp_path / "study.jsonl", rows, variants=VARIANTS)


def f_of(right: int) -> float:
    return 2 * right / (right + 100)


# -- rows ------------------------------------------------------------------------------------------


def test_a_row_by_hand(study_path: Path) -> None:
    found = compare(read_study(study_path), level=0.6)
    assert [row.variant for row in found.rows] == ["base", "good", "bad", "same"]  # base, then group by group
    row = found.rows[1]
    d = [f_of(a) - f_of(b) for a, b in zip(RIGHT["good"], RIGHT["base"], strict=True)]
    mean, sd = np.mean(d), np.std(d, ddof=1)
    assert (row.group, row.seeds, row.common, row.diverged) == ("rate", 3, 3, 0)
    assert row.f_mean == pytest.approx(np.mean([f_of(n) for n in RIGHT["good"]]))
    assert row.difference == pytest.approx(mean)
    # t(0.975; 2) of the table; p of two degrees of freedom in closed form
    assert (row.low, row.high) == pytest.approx((mean - 4.30265 * sd / 3**0.5, mean + 4.30265 * sd / 3**0.5), rel=1e-5)
    t = mean / (sd / 3**0.5)
    assert row.p == pytest.approx(1 - t / math.sqrt(2 + t * t))
    p = {row.variant: row.p for row in found.rows}
    assert sorted(p, key=lambda name: p[name] or 0) == ["base", "bad", "good", "same"]
    assert row.p_holm == pytest.approx(2 * p["good"])
    assert {row.variant: row.verdict for row in found.rows} == {
        "base": "base", "good": "better", "bad": "worse", "same": "within noise",
    }  # fmt: skip
    assert row.gap == pytest.approx(0.2)


def test_needed_is_what_the_verdict_would_have_turned_on(study_path: Path) -> None:
    study = read_study(study_path)
    rows = {row.variant: row for row in compare(study).rows}
    # Two others are called, so `same` is held to the plain 0.05: t(0.975; 2) sd / sqrt(3), its own half width.
    assert rows["same"].detectable == pytest.approx(rows["same"].half_width)
    # `good` beside one other that is called: alpha 0.05 / 2; quantile 0.9875 of two degrees in closed form.
    q = 2 * 0.4875 * math.sqrt(2 / (4 * 0.9875 * 0.0125))
    d = [f_of(a) - f_of(b) for a, b in zip(RIGHT["good"], RIGHT["base"], strict=True)]
    assert rows["good"].detectable == pytest.approx(q * np.std(d, ddof=1) / 3**0.5)
    for row in list(rows.values())[1:]:
        assert (abs(row.difference) >= row.detectable) == (row.verdict != "within noise")
    assert f"only {rows['same'].detectable:.3f} or more" in rows["same"].wording


def test_the_verdict_hangs_on_the_corrected_p(tmp_path: Path) -> None:
    numbers = {"base": (60, 60, 60), "x": (64, 66, 68), "y": (58, 60, 62), "z": (61, 59, 60)}
    rows = [result(name, s, right) for name, each in numbers.items() for s, right in enumerate(each)]
    x = compare(read_study(write(tmp_path / "s.jsonl", rows))).rows[1]
    assert x.low > 0
    assert (x.p < 0.05, x.p_holm) == (True, pytest.approx(3 * x.p))
    assert (x.p_holm > 0.05, x.verdict) == (True, "within noise")
    assert "by itself its interval leaves out 0" in x.wording


def test_updates_to_a_level(study_path: Path) -> None:
    found = {row.variant: row for row in compare(read_study(study_path), level=0.6).rows}
    # From half its F after update 101 to all of it after update 201.
    crossings = [
        101 + 100 * (0.6 - round(f / 2, 4)) / (round(f, 4) - round(f / 2, 4)) for f in map(f_of, RIGHT["base"])
    ]
    assert found["base"].updates_to_level == pytest.approx(sorted(crossings)[1])
    assert (found["base"].reached, found["bad"].reached, found["bad"].updates_to_level) == (3, 0, None)


def test_a_level_that_half_the_seeds_reach(tmp_path: Path) -> None:
    rows = [result("base", s, 60) for s in range(4)] + [result("x", s, 60 if s < 2 else 10) for s in range(4)]
    row = compare(read_study(write(tmp_path / "s.jsonl", rows)), level=0.6).rows[1]
    assert (row.reached, row.seeds, row.updates_to_level) == (2, 4, None)


def test_over_frames_the_same_frames_are_drawn_for_both(tmp_path: Path) -> None:
    base, better = [9, 1, 9, 1, 9, 1, 9, 1, 9, 1], [9, 2, 9, 2, 9, 2, 9, 2, 9, 2]
    rows = [result(name, s, each) for name, each in (("base", base), ("x", better)) for s in range(3)]
    row = compare(read_study(write(tmp_path / "s.jsonl", rows))).rows[1]
    assert row.frames_difference == pytest.approx(f_of(55) - f_of(50))
    # Of ten frames drawn, k are hard, k binomial (10, 1/2): 2 and 8 are its quantiles at 2.5 and 97.5 %. The same k holds
    # for both, so the difference is f(90 - 7 k) - f(90 - 8 k).
    expected = [f_of(90 - 7 * k) - f_of(90 - 8 * k) for k in (2, 8)]
    assert [row.frames_difference_low, row.frames_difference_high] == pytest.approx(expected)
    assert [row.frames_low, row.frames_high] == pytest.approx([f_of(90 - 7 * k) for k in (8, 2)])
    assert row.frames_f == pytest.approx(f_of(55))


def test_a_gain_that_hangs_on_a_frame_is_said_so(tmp_path: Path) -> None:
    even, one = [5] * 10, [5] * 9 + [10]
    rows = [result("base", s, even) for s in range(3)] + [result("x", s, one) for s in range(3)]
    row = compare(read_study(write(tmp_path / "s.jsonl", rows))).rows[1]
    assert row.verdict == "better"
    assert row.frames_difference_low == 0.0
    assert "on these dev frames" in row.wording


def test_pairs_are_made_of_the_seeds_that_both_have(tmp_path: Path) -> None:
    rows = [result("base", s, n) for s, n in ((0, 50), (1, 52), (2, 54))]
    rows += [result("more", s, n) for s, n in ((1, 62), (2, 65), (7, 10))]
    rows += [result("one", 2, 64), result("none", 9, 99)]
    found = {row.variant: row for row in compare(read_study(write(tmp_path / "s.jsonl", rows))).rows}
    more = found["more"]
    assert (more.seeds, more.common) == (3, 2)
    assert more.difference == pytest.approx((f_of(62) - f_of(52) + f_of(65) - f_of(54)) / 2)
    assert more.frames_difference == pytest.approx(2 * 127 / 327 - 2 * 106 / 306)
    assert more.p_holm == more.p  # the other two were not tested
    one, none = found["one"], found["none"]
    assert (one.verdict, one.common, one.p_holm, one.low) == ("too few seeds", 1, None, None)
    assert one.difference == pytest.approx(f_of(64) - f_of(54))
    assert (none.verdict, none.difference, none.frames_difference) == ("too few seeds", None, None)
    assert "0 seeds in common" in none.wording


def test_equal_runs_and_diverged_ones(tmp_path: Path) -> None:
    lost = {"diverged": True, "final_f": None, "counts": []}
    ends = [{"step": 0, "ents_f": None, "ents_p": None, "ents_r": None, "train_loss": None, "dev_loss": None}]
    rows = [result("base", s, 60 + s) for s in range(3)] + [result("equal", s, 60 + s) for s in range(3)]
    rows += [
        result("burst", s, 60 + s, **(lost if s else {}), **({"evaluations": ends} if s else {})) for s in range(3)
    ]
    found = {row.variant: row for row in compare(read_study(write(tmp_path / "s.jsonl", rows)), level=0.5).rows}
    equal = found["equal"]
    assert (equal.difference, equal.half_width, equal.p, equal.verdict) == (0.0, 0.0, 1.0, "within noise")
    assert equal.wording == "the same F as base with every seed"
    burst = found["burst"]
    assert (burst.diverged, burst.f_min, burst.reached) == (2, 0.0, 1)
    assert burst.difference == pytest.approx(-(f_of(61) + f_of(62)) / 3)
    assert burst.gap == pytest.approx(0.2)
    assert burst.wording.endswith("2 of 3 runs diverged")
    assert burst.frames_f == pytest.approx(2 * 60 / (60 + 300))


def test_scores_come_from_the_counts_which_no_export_has_rounded(tmp_path: Path) -> None:
    rows = [result(name, s, 61) for name in ("base", "x") for s in range(2)]
    for row in rows:
        row["final_f"] = round(row["final_f"], 3)
    study = read_study(write(tmp_path / "s.jsonl", rows))
    assert study.results["x"][0].final_f == f_of(61)
    assert [list(part) for part in curve_of(study.results["x"][0])] == [[1, 101, 201], [0.0, 0.3789, 0.7578]]


# -- what is refused -------------------------------------------------------------------------------


def _without(key: str) -> Callable[[list[dict]], None]:
    return lambda rows: rows[4].pop(key)


def _with(**changes: Any) -> Callable[[list[dict]], None]:
    return lambda rows: rows[4].update(changes)


def _other_gold(rows: list[dict]) -> None:
    rows[4]["counts"][3][2] += 1
    rows[4]["final_f"] = 2 * 73 / (73 + 101)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without("counts"), "s.jsonl:6: no counts"),
        (_with(name="good", seed=0), "s.jsonl:6: good with seed 0 is already at .*s.jsonl:5"),
        (_with(seed="1"), "s.jsonl:6: seed is '1'"),
        (_with(counts=[[1, 0, 9]]), "s.jsonl:6: counts need 10 rows"),
        (_with(counts=None), "s.jsonl:6: counts need 10 rows"),
        (_with(counts=[[1, 0, "9"]] * 10), "s.jsonl:6: counts need 10 rows"),
        (_with(final_f=None), "s.jsonl:6: final_f is None"),
        (_with(final_f=math.nan), "s.jsonl:6: final_f is nan"),
        (_with(final_f=0.5), "s.jsonl:6: final_f is 0.5000, its counts give 0.8439"),
        (_other_gold, "s.jsonl:6: other gold spans in frames/x.txt:3"),
        (_with(frames=["a"]), "s.jsonl:6: its frames are not those of line 1"),
        (_with(evaluations=[]), "s.jsonl:6: no evaluation"),
        (_with(evaluations=[{"step": 0}]), "s.jsonl:6: an evaluation lacks"),
        (_with(kind="note"), "s.jsonl:6: a line of kind 'note'"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, spoil: Callable, words: str) -> None:
    rows = [result(name, s, n) for name, numbers in RIGHT.items() for s, n in enumerate(numbers)]
    spoil(rows)
    with pytest.raises(UserError, match=words):
        read_study(write(tmp_path / "s.jsonl", rows))


def test_steps_must_rise(tmp_path: Path) -> None:
    row = result("base", 0, 50)
    row["evaluations"][1]["step"] = 200
    with pytest.raises(UserError, match="step 200 follows step 200"):
        read_study(write(tmp_path / "s.jsonl", [row]))


@pytest.mark.parametrize(
    ("rows", "base", "level", "words"),
    [
        ([("base", 0), ("base", 1)], "base", 0.9, "nothing but 'base'"),
        ([("base", 0), ("x", 0)], "base", 0.9, "two seeds in common with 'base' .which has seeds 0."),
        ([("base", 0), ("base", 1), ("x", 2)], "base", 0.9, "two seeds in common"),
        ([("base", 0), ("x", 0)], "bass", 0.9, "no trial of the base 'bass'; did you mean 'base'"),
        ([("a", 0), ("b", 0)], "zzz", 0.9, "it has: a, b"),
        ([("base", 0), ("base", 1), ("x", 0), ("x", 1)], "base", 1.5, "level 1.5"),
        ([("base", 0), ("base", 1), ("x", 0), ("x", 1)], "base", math.nan, "level nan"),
    ],
)
def test_a_study_that_cannot_be_compared(tmp_path: Path, rows: list, base: str, level: float, words: str) -> None:
    study = read_study(write(tmp_path / "s.jsonl", [result(name, s, 50 + s) for name, s in rows]))
    with pytest.raises(UserError, match=words):
        compare(study, base, level)


# -- a part of the dev frames ----------------------------------------------------------------------


def test_a_part_is_judged_on_its_frames_alone(tmp_path: Path) -> None:
    # `x` is better on the last three frames and worse elsewhere.
    found = {"base": [9] * 10, "x": [7] * 7 + [10] * 3}
    rows = [result(name, seed, each) for name, each in found.items() for seed in range(2)]
    frames = [f"s.jsonl:{i}" for i in range(7)] + [f"s.jsonl:{i} typo" for i in range(3)]
    study = read_study(write(tmp_path / "s.jsonl", rows, frames=frames))
    base, x = compare(part_of(study, ["* typo"])).rows
    assert (base.f_mean, x.f_mean) == (pytest.approx(2 * 27 / (27 + 30)), 1.0)
    assert x.frames_difference == pytest.approx(x.difference) == pytest.approx(x.f_mean - base.f_mean)
    base, x = compare(part_of(study, ["*:[0-9]"])).rows
    assert (base.f_mean, x.f_mean) == (pytest.approx(f_of(90)), pytest.approx(f_of(70)))
    # All of it, by two patterns that share no frame, in whatever order.
    both = compare(part_of(study, ["* typo", "*:[0-9]"]))
    assert both.rows[1].f_mean == pytest.approx(compare(study).rows[1].f_mean)
    assert any("10 of the 10 dev frames" in note for note in both.notes)


@pytest.mark.parametrize(
    ("pattern", "words"), [("*tipo", "'\\*tipo': matches none of the 10"), ("*x.txt:9", "no span")]
)
def test_a_part_that_cannot_be_judged(tmp_path: Path, pattern: str, words: str) -> None:
    row = result("base", 0, [5] * 9 + [0])
    row["counts"][9] = [0, 0, 0]
    row["final_f"] = 2 * 45 / (45 + 90)
    with pytest.raises(UserError, match=words):
        part_of(read_study(write(tmp_path / "s.jsonl", [row])), [pattern])


# -- tables ----------------------------------------------------------------------------------------


def test_all_renderings_are_of_the_same_rows(study_path: Path) -> None:
    found = compare(read_study(study_path), level=0.6)
    read = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert [row["variant"] for row in read] == [row.variant for row in found.rows]
    assert float(read[1]["difference"]) == pytest.approx(found.rows[1].difference, rel=1e-5)
    assert read[0]["difference"] == ""
    effects, beside, did = tables(found)
    assert [cells[0] for cells in effects[2]] == ["base", "rate", "good", "bad", "clip", "same"]
    good = dict(zip(effects[1], effects[2][2], strict=True))
    assert good["diff"] == f"{found.rows[1].difference:+.3f}"
    assert good["verdict"] == "better"
    assert [cells[0] for cells in beside[2]] == [cells[0] for cells in effects[2]]
    assert dict(zip(beside[1], beside[2][3], strict=True))["to F 0.6"] == "never (0/3)"
    assert all(len(cells) == len(columns) for _, columns, rows in tables(found) for cells in rows)
    text = to_markdown(found)
    for row in found.rows:
        assert f"- **{row.variant}**: {row.question} {row.wording[0].upper()}{row.wording[1:]}." in text
    assert "| **rate** |" in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(widths) == {len(columns) + 1 for _, columns, _ in (effects, beside, did)}


def test_what_the_optimizer_did_is_the_median_over_seeds(tmp_path: Path) -> None:
    rows = [result(name, s, 50 + s) for name in ("base", "x") for s in range(3)]
    for row, ratio in zip(rows[3:], (1e-3, 4e-3, 2e-3), strict=True):
        row["optimizer"] = {
            "clipped_share": 0.5, "update_ratio_median": ratio, "grad_norm_median": 1234.5, "decay_to_gradient_median": None
        }  # fmt: skip
    found = compare(read_study(write(tmp_path / "s.jsonl", rows)))
    assert (found.rows[1].update_ratio, found.rows[1].decay_to_gradient) == (2e-3, None)
    _, columns, cells = tables(found)[2]
    assert dict(zip(columns, cells[-1], strict=True)) == {
        "variant": "x", "clipped": "50 %", "update / weight": "0.002", "gradient norm": "1,234", "decay / gradient": "",
    }  # fmt: skip


def test_markdown_and_terminal_hold_any_name(tmp_path: Path, compare_here: Callable) -> None:
    rows = [result(name, s, 50 + s) for name in ("base", "a|b [bold]") for s in range(2)]
    path = write(tmp_path / "s.jsonl", rows)
    assert "| a\\|b [bold] |" in to_markdown(compare(read_study(path)))
    code, said, _ = compare_here(path, "--output", tmp_path / "m" / "a", "--plots", tmp_path / "p")
    assert code == 0
    assert "a|b [bold]" in said


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "+0.012"), (-0.0005001, "-0.001"), (-0.0004, "+0.000"), (0.0, "+0.000")]
)
def test_what_rounds_to_nothing_has_no_minus(value: float, text: str) -> None:
    assert signed(value) == text


def test_unlike_versions_are_noted(tmp_path: Path) -> None:
    rows = [result(name, s, 50 + s) for name in ("base", "x") for s in range(2)]
    for row in rows:
        row["versions"] = {"spacy": "3.8"}
    # A training without torch does not name its version: no difference.
    rows[2]["versions"] = {"spacy": "3.8", "torch": "2.9"}
    same = write(tmp_path / "same.jsonl", rows)
    assert "different versions" not in to_markdown(compare(read_study(same)))
    rows[3]["versions"] = {"spacy": "3.9"}
    text = to_markdown(compare(read_study(write(tmp_path / "s.jsonl", rows))))
    assert "The trials were made with different versions of spacy: 3.8, 3.9." in text


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def compare_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """The command as a user's line starts it, in this process: a new one takes seconds to import what is here already."""

    def start(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["compare", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            run(command.main)
        return left.value.code or 0, *capsys.readouterr()

    return start


def _bytes(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_the_command_prints_and_writes_the_same_bytes_again(
    study_path: Path, tmp_path: Path, compare_here: Callable
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        where = ("--output", folder / "metrics" / "ablation", "--plots", folder / "plots" / "ablation")
        options = (study_path, "--base", "base", "--level", 0.6, *where)
        if folder.name == "one":
            done = run_script("compare", *options)
            code, said = done.returncode, done.stdout
        else:
            code, said, _ = compare_here(*options)
        assert code == 0
        for word in ("Effect on dev F", "good", "better", "within noise", "wrote"):
            assert word in said
    written = _bytes(folders[0])
    assert written == _bytes(folders[1])
    pictures = ("effects", "learning-curves", "optimizer-behaviour")
    expected = {f"metrics/ablation.{kind}" for kind in ("csv", "md", "json")}
    assert set(written) == expected | {f"plots/ablation/{name}.{kind}" for name in pictures for kind in ("svg", "png")}
    kept = json.loads(written["metrics/ablation.json"])
    assert kept["rows"][1]["verdict"] == "better"
    assert (kept["base"], kept["level"], kept["confidence"]) == ("base", 0.6, statistics.CONFIDENCE)


def test_the_command_on_a_part_draws_no_curves(study_path: Path, tmp_path: Path, compare_here: Callable) -> None:
    where = ("--output", tmp_path / "m" / "part", "--plots", tmp_path / "p")
    code, said, _ = compare_here(study_path, "--frames", "*:[0-4]", "--frames", "*:9", *where)
    assert (code, "6 of the 10 dev frames" in said) == (0, True)
    assert {path.stem for path in (tmp_path / "p").iterdir()} == {"effects", "optimizer-behaviour"}


@pytest.mark.parametrize(
    ("lines", "options", "words"),
    [
        (None, (), "no such file"),
        (["{broken"], (), "study.jsonl:1: not JSON"),
        ([], ("--base", "zzz"), "no trial of the base 'zzz'"),
        ([], ("--show", "goood"), "did you mean 'good'"),
        ([], ("--level", "0"), "level 0"),
        ([], ("--frames", "*.csv:*"), "matches none of the 10 dev frames"),
    ],
)
def test_a_users_mistake_is_one_line_and_writes_nothing(
    study_path: Path, tmp_path: Path, compare_here: Callable, lines: list | None, options: tuple, words: str
) -> None:
    if lines is None:
        study_path.unlink()
    elif lines:
        study_path.write_text("\n".join(lines), encoding="utf8")
    code, _, said = compare_here(study_path, "--output", tmp_path / "m" / "a", "--plots", tmp_path / "p", *options)
    assert code == 2
    assert said.count("\n") == 1
    assert words in said
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / "p").exists()


def test_a_file_in_the_way_of_the_pictures_leaves_the_table_unwritten(
    study_path: Path, tmp_path: Path, compare_here: Callable
) -> None:
    (tmp_path / "p").write_text("a file", encoding="utf8")
    code, _, said = compare_here(study_path, "--output", tmp_path / "m" / "a", "--plots", tmp_path / "p")
    assert (code, said.count("\n")) == (2, 1)
    assert "cannot write here" in said
    assert not (tmp_path / "m").exists()


def test_a_file_in_the_way_of_the_table_leaves_the_pictures_undrawn(
    study_path: Path, tmp_path: Path, compare_here: Callable
) -> None:
    (tmp_path / "m").write_text("a file", encoding="utf8")
    code, _, said = compare_here(study_path, "--output", tmp_path / "m" / "a", "--plots", tmp_path / "p")
    assert (code, said.count("\n")) == (2, 1)
    assert "cannot write here" in said
    assert not (tmp_path / "p").exists()
