"""Sweep the learning rate of a config's training once, and read suggestions off the curve."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from spacy.util import import_file

from scripts._cli import new_app, print_table, print_wrote, run_app
from trajet.config import load_config
from trajet.errors import UserError
from trajet.experiments.rates.record import Sweep
from trajet.experiments.rates.suggestions import RATIO_BAND, RATIO_GUIDE
from trajet.experiments.rates.sweep import OPTIMIZER_BLOCK, range_test
from trajet.files import write_json
from trajet.plots.experiments import rate_range as picture
from trajet.plots.style import save

_WHAT = {
    "steepest": "the loss falls fastest over log rate",
    "valley": "two thirds into the longest fall",
    "minimum": "a tenth of the rate of the smallest loss",
    "slide": "before the explosion",
}


def main(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="spaCy config whose training is swept; nothing is saved of it.")],
    first: Annotated[float, typer.Option("--from", help="Rate of the first update.")] = 1e-6,
    last: Annotated[float, typer.Option("--to", help="Rate of the last update.")] = 1.0,
    updates: Annotated[int, typer.Option(help="Updates of the sweep, from 20.")] = 300,
    smoothing: Annotated[float, typer.Option(help="Weight of the past in the mean of the loss.")] = 0.9,
    divergence: Annotated[
        float, typer.Option(help="Stop when the smoothed loss exceeds so many times its best.")
    ] = 4.0,
    optimizer_block: Annotated[str, typer.Option(help="Section with the optimizer to sweep.")] = OPTIMIZER_BLOCK,
    seed: Annotated[int | None, typer.Option(help="In place of the config's.")] = None,
    code: Annotated[Path | None, typer.Option(help="Python file with functions that the config names.")] = None,
    output: Annotated[Path, typer.Option(help="Numbers.")] = Path("metrics/lr-range.json"),
    plots: Annotated[Path, typer.Option(help="Folder of the picture, named after the config.")] = Path(
        "plots/lr-range"
    ),
) -> None:
    """Train with a learning rate that grows from tiny to too large; suggest rates from the loss and from the size of
    the updates. Settings of the config can be given as for spacy train: --paths.train corpus/train.spacy
    """
    sweep = Sweep(first, last, updates, smoothing, divergence)
    overrides = _overrides(context.args)
    if code is not None:
        _import(code)
    loaded = load_config(config, overrides)
    print(f"{config}: {updates} updates, learning rate {first:g} to {last:g}")
    found = range_test(loaded, sweep, block=optimizer_block, seed=seed, source=str(config))
    if found.left_out:
        print(f"left out: [training.before_update] {', '.join(found.left_out)}")
    if found.stopped:
        print(f"stopped: {found.stopped}")
    result = {"config": str(config), "ratio_guide": RATIO_GUIDE, "ratio_range": list(RATIO_BAND), **found.to_dict()}
    rows = [[name, _rate(rate), _WHAT[name]] for name, rate in found.suggestions().items()]
    band = found.band()
    stretch = "none" if band["low"] is None else f"{_rate(band['low'])} to {_rate(band['high'])}"
    rows.append(["ratio band", stretch, f"updates {RATIO_BAND[0]:g} to {RATIO_BAND[1]:g} of the weights"])
    rows.append(["ratio 1e-3", _rate(band["middle"]), "updates a thousandth of the weights"])
    print_table("Suggested learning rates", ["", "rate", "where"], rows)
    for note in found.notes():
        print(f"note: {note}")
    pictures = save(picture.draw(picture.data(result)), plots / config.stem)
    print_wrote([write_json(output, result), *pictures])


def _rate(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.2e}"


def _overrides(arguments: list[str]) -> dict[str, Any]:
    """`--section.key value` and `--section.key=value` as `spacy train` reads them."""
    found: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--") or "." not in name:
            raise UserError(
                f"{name}: no such option; --help lists them, and settings of the config have a dot in their name"
            )
        if not equals:
            # As spaCy has it: a flag without a value is true.
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        try:
            found[name[2:]] = json.loads(value)
        except ValueError:
            found[name[2:]] = value
    return found


def _import(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"--code {path}: no such file")
    import_file("python_code", path)


app = new_app()
# What typer does not know may be a setting of the config.
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(main)

if __name__ == "__main__":
    run_app(app)
