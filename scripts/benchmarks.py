"""Measure what the trace costs."""

from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import console, print_table, run
from trajet.benchmark import compare, losses_cost


def main(
    config: Annotated[Path, typer.Option(help="Config to train; its own trace settings are not used.")] = Path(
        "configs/base.cfg"
    ),
    steps: Annotated[int, typer.Option(help="Updates of a stretch.", min=1)] = 100,
    pairs: Annotated[int, typer.Option(help="Stretches; each gives a ratio with / without.", min=1)] = 7,
) -> None:
    """Train with and without the trace, an update each by turns; print ratios of user CPU time, shares, memory, size."""
    with console.status("training by turns ..."):
        report = compare(config, steps, pairs)
        losses = losses_cost(config)
    rows = [(cost.name, cost.median, cost.low, cost.high, f"{cost.own_share:.2%}") for cost in report.costs]
    print_table(
        f"User CPU time with the trace / without, {pairs} stretches of {steps} updates by turns",
        ("level tensors", "median ratio", "lowest", "highest", "hook's own share of a step"),
        rows,
    )
    if report.batch:
        print(f"batches of {report.batch} words, as in the middle of a run of {config}")
    print(
        f"memory kept by the trace: {report.extra_bytes / report.weight_bytes:.2f} of the weights' {report.weight_bytes / 1e6:.1f} MB"
    )
    print(
        f"trace size: {report.bytes_per_step:,.0f} bytes a step, {report.bytes_per_step * 20_000 / 1e6:.1f} MB for 20,000 steps of {report.tensors} tensors"
    )
    print(f"read_trace of 20,000 such steps: {report.read_seconds:.2f} s")
    print(
        f"losses_on = {losses.count}, not in the ratios above: {losses.share:.2%} of the time of a run that evaluates every {losses.frequency} updates"
    )


if __name__ == "__main__":
    run(main)
