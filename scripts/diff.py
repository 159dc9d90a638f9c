"""What one variant or config has differently from another."""

from pathlib import Path
from typing import Annotated

import typer
from thinc.api import Config

from scripts._cli import run
from trajet.config import load_config
from trajet.experiments.variants import BASE, choose, diff, load_variants, resolve


def main(
    first: Annotated[str, typer.Argument(metavar="A", help="A variant's name, or the path of a config (.cfg).")],
    second: Annotated[
        str | None, typer.Argument(metavar="B", help="Another; without it, A is compared with the variant base.")
    ] = None,
    variants: Annotated[Path, typer.Option(help="File of the variants.")] = Path("configs/variants.yml"),
    updates: Annotated[int, typer.Option(help="Budget that the variants' schedules are made for.", min=1)] = 1000,
) -> None:
    """Print the settings that differ, a line each, with both values."""
    before, after = (BASE, first) if second is None else (first, second)
    changes = diff(_config(before, variants, updates), _config(after, variants, updates))
    print(f"{before} -> {after}" if changes else f"{before} and {after}: no setting differs")
    for change in changes:
        print(f"  {change}")


def _config(name: str, variants: Path, updates: int) -> Config:
    return (
        load_config(Path(name)) if name.endswith(".cfg") else resolve(choose(load_variants(variants), name), updates, 0)
    )


if __name__ == "__main__":
    run(main)
