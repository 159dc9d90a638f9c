"""docs/pieces.md: each of its blocks builds, each registered name is on it."""

import re

import pytest
from spacy.util import registry
from thinc.api import Config

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "pieces.md").read_text(encoding="utf8")
BLOCKS = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_a_block_builds(block: str) -> None:
    headers = re.findall(r"^\[(.*)\]$", block, re.MULTILINE)
    parts = headers[0].split(".")
    parents = [".".join(parts[:depth]) for depth in range(1, len(parts)) if ".".join(parts[:depth]) not in headers]
    # Without a section of its own a config cannot say where the block belongs.
    text = "".join(f"[{parent}]\n\n" for parent in dict.fromkeys([*parents, *(h.split(".")[0] for h in headers)]))
    config = Config().from_str(f'[paths]\ntrain = "train.spacy"\n\n{text}{block}').interpolate()
    del config["paths"]
    registry.resolve(config)


def test_every_piece_is_on_the_page() -> None:
    text = (ROOT / "analysis" / "trajet" / "registry.py").read_text(encoding="utf8")
    registered = set(re.findall(r'@registry\.\w+\("(trajet\.[^"]+)"\)', text))
    elsewhere = {"trajet.OptimizerTrace.v1", "trajet.Chain.v1", "trajet.SplitSigns.v1", "trajet.ScaleWeights.v1"}
    assert {name for name in registered if f"| `{name}` |" in PAGE} == registered - elsewhere


def test_the_first_weights_are_those_that_exist() -> None:
    from trajet.encoders.initialisers import initialiser

    (line,) = re.findall(r"^`init`: (.*?)\. ", PAGE, re.MULTILINE)
    for name in re.findall(r"`(\w+)`", line):
        initialiser(name, "trajet.WindowEncoder.v1")


def test_the_habits_and_noises_are_those_that_exist() -> None:
    from trajet.corpus.noise import HABITS, NOISES

    (habits,) = re.findall(r" Habits: (.*)\.$", PAGE, re.MULTILINE)
    (noises,) = re.findall(r"^A single noise may be named as well: (.*)\.$", PAGE, re.MULTILINE)
    assert re.findall(r"`([\w-]+)`", habits) == list(HABITS)
    assert re.findall(r"`([\w-]+)`", noises) == [name for name in NOISES if name not in HABITS]
