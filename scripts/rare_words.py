"""Follow the embedding rows of a frequent and of a rare word through a training, with Adam and with SGD."""

import math
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts._cli import print_table, print_wrote, run
from trajet.config import load_config
from trajet.errors import UserError
from trajet.files import write_json
from trajet.plots import words as picture
from trajet.plots.style import save
from trajet.words.life import WordLife, word_lives
from trajet.words.train import train_watching


def main(
    word: Annotated[
        list[str] | None, typer.Option(help="A word to follow; may be given again. [default: Paris, Pontarlier]")
    ] = None,
    config: Annotated[Path, typer.Option(help="Config to train.")] = Path("configs/base.cfg"),
    steps: Annotated[int, typer.Option(help="Updates of each training.", min=2)] = 1000,
    sgd_rate: Annotated[
        float,
        typer.Option(
            help="Peak rate of SGD, with the same schedule. Of 0.003, 0.01, 0.03 ... 3 the default gave base.cfg the best dev F."
        ),
    ] = 0.01,
    output: Annotated[Path, typer.Option(help="Numbers.")] = Path("metrics/words.json"),
    plots: Annotated[Path, typer.Option(help="Folder for the picture.")] = Path("plots/words"),
) -> None:
    """How often updates reach the rows of each word, how far they go, at what effective rate: Adam beside SGD."""
    if not (math.isfinite(sgd_rate) and sgd_rate > 0):
        raise UserError(f"--sgd-rate {sgd_rate}: a finite number above 0 is needed")
    words = word or ["Paris", "Pontarlier"]
    lives: dict[str, list[WordLife]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, optimizer in {"Adam": None, "SGD": sgd_block(config, sgd_rate)}.items():
            print(f"{name}: {steps:,} updates of {config}")
            trace = Path(folder) / f"{name}.jsonl"
            found = train_watching(config, words, steps, trace, {}, optimizer)
            lives[name] = word_lives(trace, found)
    rows = [{"optimizer": name, **life.summary()} for name, entries in lives.items() for life in entries]
    # A row a quantity: there are more of them than of words.
    columns = ["", *(f"{row['optimizer']}: {row['word']}" for row in rows)]
    quantities = [name for name in rows[0] if name not in ("optimizer", "word")]
    print_table(f"{steps:,} updates", columns, ([name, *(_cell(row[name]) for row in rows)] for name in quantities))
    print_wrote([write_json(output, rows), *save(picture.draw(picture.data(lives)), plots / "rare-and-frequent")])


def sgd_block(config: Path, rate: float) -> dict[str, Any]:
    """SGD.v1 with the config's own schedule, its peak moved to `rate`, its clip and decay."""
    block = load_config(config)["training"]["optimizer"]
    schedule = block["learn_rate"]
    if not isinstance(schedule, dict) or "initial_rate" not in schedule:
        raise UserError(f"{config}: [training.optimizer.learn_rate] has no initial_rate to move to {rate:g}")
    kept = {name: block[name] for name in ("L2", "L2_is_weight_decay", "grad_clip", "use_averages") if name in block}
    return {"@optimizers": "SGD.v1", **kept, "learn_rate": {**schedule, "initial_rate": rate}}


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


if __name__ == "__main__":
    run(main)
