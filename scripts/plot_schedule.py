"""Draw what a config's schedule plans, for one config or several in one picture."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from scripts._cli import print_wrote, run
from trajet.config import load_config
from trajet.errors import UserError
from trajet.plots.adam.schedules import draw_series
from trajet.plots.style import save
from trajet.schedule import planned_values

LEARN_RATE = "training.optimizer.learn_rate"
DEFAULT_STEPS = 20_000


def main(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG ...", help="spaCy configs whose schedule is drawn.")],
    section: Annotated[str, typer.Option(help="Setting to draw, such as training.batcher.size.")] = LEARN_RATE,
    steps: Annotated[
        int | None, typer.Option(help=f"Last step; default: the largest total_steps named, or {DEFAULT_STEPS}.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the picture, named after the configs.")] = Path(
        "plots/schedule"
    ),
) -> None:
    """Draw the planned learning rate, or another scheduled setting, as SVG and PNG."""
    if steps is not None and steps < 1:
        raise UserError(f"--steps {steps}: must be a whole number from 1")
    paths = list(dict.fromkeys(configs))
    blocks = {path: _setting(path, section) for path in paths}
    last = steps if steps is not None else max(_total_steps(block) for block in blocks.values()) or DEFAULT_STEPS
    stems = [path.stem for path in paths]
    series = {
        f"{path.stem if stems.count(path.stem) == 1 else path}: {_name(block)}": _planned(path, section, block, last)
        for path, block in blocks.items()
    }
    axes = draw_series(series, f"[{section}] as planned", section.rsplit(".", 1)[-1])
    stem = "-".join(stems) + ("" if section == LEARN_RATE else f"-{section}")
    print_wrote(save(axes.figure, output / stem))


def _setting(path: Path, section: str) -> object:
    value: object = load_config(path)
    for part in section.split("."):
        if not isinstance(value, dict) or part not in value:
            raise UserError(f"{path}: has no [{section}]; name a setting of the config, such as {LEARN_RATE}")
        value = value[part]
    scheduled = isinstance(value, dict) and "@schedules" in value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not scheduled and not number:
        raise UserError(f"{path}: [{section}] is neither a number nor a block with @schedules; nothing to draw")
    return value


def _planned(path: Path, section: str, block: object, last: int) -> np.ndarray:
    try:
        return planned_values(block, section, last + 1)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _total_steps(block: object) -> int:
    # A schedule may hold another, as constant_then.v1 does.
    if not isinstance(block, dict):
        return 0
    own = block.get("total_steps", 0)
    return max([own if isinstance(own, int) else 0, *(_total_steps(value) for value in block.values())])


def _name(block: object) -> str:
    return str(block["@schedules"]) if isinstance(block, dict) else f"always {block:g}"


if __name__ == "__main__":
    run(main)
