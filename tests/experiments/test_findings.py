"""docs/findings.md: its tables are those of the finished trainings beside it, its numbers stand in a table."""

import re
from collections.abc import Callable

import pytest

from tests.conftest import ROOT
from trajet.experiments.comparison.compare import compare
from trajet.experiments.comparison.tables import to_csv, to_markdown
from trajet.experiments.search.results import COMPLETE, read_results
from trajet.experiments.studies.exported import read_study

FOLDER = ROOT / "docs" / "ablation"
PAGE = ROOT / "docs" / "findings.md"
_NUMBER = re.compile(r"(?<![\w.])[+-]?0\.\d{3}(?!\d)")


@pytest.mark.parametrize(
    ("name", "base", "forms"),
    [("ablation", "base", {".md": to_markdown, ".csv": to_csv}), ("against-adam", "adam", {".md": to_markdown})],
)
def test_the_tables_are_those_of_the_trainings(name: str, base: str, forms: dict[str, Callable]) -> None:
    found = compare(read_study(FOLDER / "ablation.jsonl.gz"), base, level=0.7)
    again = f"stale: python -m scripts.compare docs/ablation/ablation.jsonl.gz --base {base} --level 0.7 --output docs/ablation/{name}"
    for suffix, form in forms.items():
        assert (FOLDER / f"{name}{suffix}").read_text(encoding="utf8") == form(found), again


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


def _rates_shown() -> dict[str, str]:
    rows = re.findall(r"^\| (Adam|AdamW|RAdam|SGD|SGD, momentum 0\.9) \| (.*) \|$", PAGE.read_text("utf8"), re.M)
    return {
        f"{'momentum' if 'momentum' in optimizer else optimizer.lower()}-{rate}": score
        for optimizer, cells in rows
        for rate, score in re.findall(r"([\d.e-]+): \**(0\.\d{3})", cells)
    }
