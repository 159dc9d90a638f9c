"""Train one variant of configs/variants.yml and say what came of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts._cli import print_table, print_wrote, run
from trajet.experiments.run import run_config
from trajet.experiments.variants import BASE, choose, diff, load_variants, resolve


def main(
    name: Annotated[str, typer.Argument(help="A variant's name.")],
    updates: Annotated[int, typer.Option(help="Budget; the schedules end with it.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    output: Annotated[Path, typer.Option(help="The run goes to OUTPUT/NAME-seedSEED.")] = Path("training/variants"),
    variants: Annotated[Path, typer.Option(help="File of the variants.")] = Path("configs/variants.yml"),
    corpus: Annotated[
        Path | None, typer.Option(help="Folder with train.spacy and dev.spacy, in place of the config's paths.")
    ] = None,
) -> None:
    """Train a variant; print F, the gap between dev and train loss, updates and seconds, and what differs from base."""
    known = load_variants(variants)
    variant = choose(known, name)
    paths = {split: corpus / f"{split}.spacy" for split in ("train", "dev")} if corpus else None
    config = resolve(variant, updates, seed, paths)
    print(f"{name}: {variant.question}")
    if name != BASE and BASE in known:
        for change in diff(resolve(known[BASE], updates, seed, paths), config):
            print(f"  {change}")
    folder = output / f"{name}-seed{seed}"
    result = run_config(config, name=name, seed=seed, folder=folder, report=_say)
    gap = None if result.loss_gap is None else f"{result.loss_gap:+.4f}"
    row = (name, result.final_f, f"{result.best_f:.3f} at {result.best_step}", gap, result.updates, f"{result.cpu_seconds:.0f}")  # fmt: skip
    columns = ("variant", "dev F", "best", "dev - train loss", "updates", "CPU seconds")
    print_table("diverged: stopped at a loss or weight that is not finite" if result.diverged else "", columns, [row])
    print_wrote(folder / file for file in ("config.cfg", "trace.jsonl", "result.json"))


def _say(evaluation: Mapping[str, Any]) -> None:
    losses = (evaluation[name] for name in ("train_loss", "dev_loss"))
    train, dev = ("-" if loss is None else f"{loss:.4f}" for loss in losses)
    print(f"step {evaluation['step']:>6,}   F {evaluation['ents_f']:.3f}   loss per token: train {train}, dev {dev}", flush=True)  # fmt: skip


if __name__ == "__main__":
    run(main)
