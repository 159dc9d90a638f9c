"""Measure how much more several workers get done than one."""

from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from scripts._cli import console, print_table, run
from scripts._workers import worker_command
from trajet.experiments.studies.throughput import compare_workers, cores
from trajet.experiments.variants import choose, load_variants, resolve

TARGET = 1.7


def main(
    variants: Annotated[Path, typer.Option(help="File of variants.")] = Path("configs/variants.yml"),
    variant: Annotated[str, typer.Option(help="What is trained.")] = "base",
    updates: Annotated[int, typer.Option(help="Budget of each training.", min=1)] = 300,
    workers: Annotated[int, typer.Option(help="Workers compared with one; no more than cores.", min=2)] = 2,
    each: Annotated[int, typer.Option(help="Trainings of each worker.", min=1)] = 3,
    pairs: Annotated[int, typer.Option(help="How often, by turns.", min=1)] = 3,
) -> None:
    """Trainings an hour of several workers beside those of one, by turns; the ratio is what counts."""
    chosen = choose(load_variants(variants), variant)
    with console.status(f"{pairs} times: one worker, {workers} workers ..."):
        found = compare_workers(
            lambda seed: resolve(chosen, updates, seed), updates, worker_command, workers, each, pairs
        )
    rows = [
        (f"pair {number}", pair.one.per_hour, pair.several.per_hour, pair.ratio) for number, pair in enumerate(found, 1)
    ]
    print_table(
        f"Trainings an hour of {updates} updates, {each} a worker, on {cores()} cores",
        ("", "1 worker", f"{workers} workers", "ratio"),
        rows,
    )
    ratio = median(pair.ratio for pair in found)
    print(f"median ratio {ratio:.2f} (wanted of two workers on two idle cores: at least {TARGET})")


if __name__ == "__main__":
    run(main)
