"""docs/findings.md and docs/recipe.md: tables are those of the finished trainings beside them, numbers stand in a table."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from trajet.experiments.comparison.compare import BASE, NOISE, Comparison, compare, signed
from trajet.experiments.comparison.part import part_of
from trajet.experiments.comparison.tables import to_csv, to_markdown
from trajet.experiments.search.results import COMPLETE, read_results
from trajet.experiments.studies.exported import read_study
from trajet.statistics import f_over_frames, percentile_interval

FOLDER = ROOT / "docs" / "ablation"
PAGE = ROOT / "docs" / "findings.md"
RECIPE = ROOT / "docs" / "recipe"
RECIPE_PAGE = ROOT / "docs" / "recipe.md"
_NUMBER = re.compile(r"(?<![\w.])[+-]?0\.\d{3}(?!\d)")
_MARKDOWN, _CSV = {".md": to_markdown}, {".csv": to_csv}
_AS_WRITTEN = "*[0-9]"


@pytest.mark.parametrize(
    ("trials", "frames", "output", "base", "forms"),
    [
        (FOLDER / "ablation.jsonl.gz", None, FOLDER / "ablation", "base", _MARKDOWN | _CSV),
        (FOLDER / "ablation.jsonl.gz", None, FOLDER / "against-adam", "adam", _MARKDOWN),
        (RECIPE / "recipe.jsonl.gz", _AS_WRITTEN, RECIPE / "as-written", "accurate", _MARKDOWN | _CSV),
        *(
            (RECIPE / "recipe.jsonl.gz", f"* {noise}", RECIPE / noise, "accurate", _MARKDOWN)
            for noise in ("typo", "lower", "upper", "sms", "speech", "by-ear", "deletion")
        ),
    ],
)
def test_the_tables_are_those_of_the_trainings(
    trials: Path, frames: str | None, output: Path, base: str, forms: dict[str, Callable]
) -> None:
    found = _compared(trials, frames, base)
    part = f" --frames '{frames}'" if frames else ""
    again = f"stale: python -m scripts.compare {trials.relative_to(ROOT)} --base {base} --level 0.7{part} --output {output.relative_to(ROOT)}"
    for suffix, form in forms.items():
        assert output.with_name(output.name + suffix).read_text(encoding="utf8") == form(found), again


def test_at_least_twenty_five_variants_have_three_seeds_and_eight_have_eight() -> None:
    seeds = [len(by_seed) for by_seed in read_study(FOLDER / "ablation.jsonl.gz").results.values()]
    assert sum(count >= 3 for count in seeds) >= 25
    assert sum(count >= 8 for count in seeds) >= 8


def test_the_table_of_rates_is_that_of_the_exploration() -> None:
    study = read_study(FOLDER / "rates.jsonl.gz")
    assert _rates_shown() == {name: f"{by_seed[0].final_f:.3f}" for name, by_seed in study.results.items()}


def test_what_is_said_of_the_search_is_what_it_found() -> None:
    results = read_results(FOLDER / "search.jsonl")
    text = PAGE.read_text(encoding="utf8")
    for point in results.best(3):
        value = point.values
        dropout = value[f"dropout_{value['encoder']}"]
        row = (
            f"| {point.number} | {point.score:.3f} | {value['encoder']} | {dropout:.2f} | {value['first_weights']:.2f} "
            f"| {value['optimizer']} | {value['adam_rate']:.0e} | {value['warmup']} | {value['clip']:g} |"
        )
        assert row in text
    given_up = sum(point.state != COMPLETE for point in results.points)
    assert f"{given_up} of the {len(results.points)} points were given up" in text
    assert not any(each.value > each.chance for each in results.importance)


def test_the_recipes_table_of_what_is_left_out_is_that_of_the_trainings() -> None:
    text = RECIPE_PAGE.read_text(encoding="utf8")
    noises = re.search(r"^\| left out \| as written \| (.*) \|$", text, re.M).group(1).split(" | ")
    parts = (_AS_WRITTEN, *(f"* {noise}" for noise in noises))
    found = [_compared(RECIPE / "recipe.jsonl.gz", frames, "accurate") for frames in parts]
    for rows in zip(*(comparison.rows for comparison in found), strict=True):
        if rows[0].verdict != BASE:
            line = re.search(rf"^\| `{rows[0].variant}` \| (.*) \|$", text, re.M).group(1)
            called = [signed(r.difference) if r.verdict == NOISE else f"**{signed(r.difference)}**" for r in rows]
            assert re.sub(r"[()]", "", line).split(" | ") == called


def test_the_recipes_table_of_breadth_is_that_of_the_trainings() -> None:
    study = part_of(read_study(RECIPE / "breadth.jsonl.gz"), [_AS_WRITTEN])
    shares = {"accurate": 1, "frames-half": 2, "frames-quarter": 4, "frames-eighth": 8}
    text = RECIPE_PAGE.read_text(encoding="utf8")
    for name, share in shares.items():
        scores = [f"{result.final_f:.3f}" for result in study.results[name].values()]
        assert re.search(rf"^\| 1/{share} \| [\d,]+ \| {', '.join(scores)} \|$", text, re.M)
    over_frames = {name: f_over_frames(np.array(study.results[name][0].counts), seed=0) for name in shares}
    said = re.search(
        r"half of them by (\S+) to (\S+), than a quarter by (\S+) to (\S+), than an eighth by (\S+) to (\S+)", text
    )
    gains = [percentile_interval(over_frames["accurate"] - over_frames[name]) for name in list(shares)[1:]]
    assert [float(number) for number in said.groups()] == [round(edge, 3) for gain in gains for edge in gain]


def test_every_number_of_the_recipes_page_stands_in_a_table() -> None:
    tables = [*RECIPE.glob("*.md"), ROOT / "docs" / "accurate.md"]
    known = {number.lstrip("+-") for path in tables for number in _NUMBER.findall(path.read_text(encoding="utf8"))}
    # Held above.
    breadth = part_of(read_study(RECIPE / "breadth.jsonl.gz"), [_AS_WRITTEN])
    known |= {f"{result.final_f:.3f}" for by_seed in breadth.results.values() for result in by_seed.values()}
    said = {number.lstrip("+-") for number in _NUMBER.findall(RECIPE_PAGE.read_text(encoding="utf8"))}
    assert not said - known, f"in docs/recipe.md and in no table: {', '.join(sorted(said - known))}"
    assert len(said) > 20


def test_every_number_of_the_page_stands_in_a_table() -> None:
    tables = {path for path in FOLDER.iterdir() if path.suffix == ".md"} | {ROOT / "docs" / "tuning.md"}
    known = {number.lstrip("+-") for path in tables for number in _NUMBER.findall(path.read_text(encoding="utf8"))}
    # The exploration's and the search's are held above.
    known |= set(_rates_shown().values())
    known |= {f"{point.score:.3f}" for point in read_results(FOLDER / "search.jsonl").best(3)}
    text = PAGE.read_text(encoding="utf8")
    missing = {number for number in _NUMBER.findall(text) if number.lstrip("+-") not in known}
    assert not missing, (
        f"in docs/findings.md and in no table of docs/ablation or docs/tuning.md: {', '.join(sorted(missing))}"
    )
    assert len(_NUMBER.findall(text)) > 40


@cache
def _compared(trials: Path, frames: str | None, base: str) -> Comparison:
    study = read_study(trials)
    return compare(part_of(study, [frames]) if frames else study, base, level=0.7)


def _rates_shown() -> dict[str, str]:
    rows = re.findall(r"^\| (Adam|AdamW|RAdam|SGD|SGD, momentum 0\.9) \| (.*) \|$", PAGE.read_text("utf8"), re.M)
    return {
        f"{'momentum' if 'momentum' in optimizer else optimizer.lower()}-{rate}": score
        for optimizer, cells in rows
        for rate, score in re.findall(r"([\d.e-]+): \**(0\.\d{3})", cells)
    }
