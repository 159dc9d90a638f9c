"""docs/judge.md has a place for every table, and says what the files hold."""

import re
from random import Random

import pytest

from scripts import baselines, confidence, robustness
from tests.conftest import ROOT
from trajet.corpus.noise import HABITS, NOISES
from trajet.corpus.render import Segment
from trajet.judge.calibration import Bin, Reliability
from trajet.judge.invariance import Invariance
from trajet.judge.under_noise import NoiseDrop
from trajet.markdown import check_section

PAGE = ROOT / "docs" / "judge.md"
SECTIONS = (
    "evaluate", "baselines", "robustness", "robustness-final", "confidence", "confidence-final", "confidence-dev",
)  # fmt: skip


@pytest.mark.parametrize("name", SECTIONS)
def test_every_command_can_fill_its_place(name: str) -> None:
    check_section(PAGE, name)


def test_every_mark_is_some_commands() -> None:
    assert set(re.findall(r"^<!-- ([\w-]+) -->$", PAGE.read_text(encoding="utf8"), re.MULTILINE)) == set(SECTIONS)
    halves = {f"{stem}-{half.value}" for stem, kind in (("robustness", robustness.Half), ("confidence", confidence.Half))
              for half in kind if half.value != "open"}  # fmt: skip
    assert halves < set(SECTIONS)


def test_every_key_and_every_test_is_explained() -> None:
    text = PAGE.read_text(encoding="utf8")
    fields = {name for kind in (NoiseDrop, Invariance, Bin, Reliability) for name in kind.__dataclass_fields__}
    for name in fields | set(baselines.COLUMNS) | set(robustness.TESTS):
        assert f"`{name}`" in text, name
    for title in robustness.TESTS.values():
        assert f"| {title} |" in text


def test_what_is_said_of_the_noises_is_so() -> None:
    text = " ".join(PAGE.read_text(encoding="utf8").split())
    assert "each of `trajet.corpus.noise.NOISES`" in text
    # A stop on the way stays under those that change names alone.
    unlabelled, place = "Saint-Étienne, Aix-les-Bains", "Saint-Étienne, Aix-les-Bains"
    alone = [
        name for name, noise in NOISES.items()
        if all(noise([Segment(unlabelled), Segment(place, "ARR", place=True)], Random(seed))[0].text == unlabelled
               for seed in range(50))
        and any(noise([Segment(place, "ARR", place=True)], Random(seed))[0].text != place for seed in range(50))
    ]  # fmt: skip
    assert set(alone) == {"hyphens", "saint", "apart", "by-ear"}
    assert "`hyphens`, `saint`, `apart` and `by-ear`" in text
    unused = set(NOISES) - {name for habit in HABITS.values() for name in habit.noises}
    assert unused == {"numbers", "homophones", "endings"}
    assert "`numbers`, `homophones` and `endings` occur there only inside `speech`" in text
