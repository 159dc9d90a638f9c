"""Train variants with several seeds, by several workers, resumable: a study."""

from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import console, print_wrote, run
from scripts._workers import FOLDER_HELP, STORAGE_HELP, run_workers, what_is_left
from trajet.errors import UserError
from trajet.experiments.key import trial_key
from trajet.experiments.studies.export import write_export
from trajet.experiments.studies.storage import DEFAULT_URL, Heartbeat, open_storage
from trajet.experiments.studies.study import Planned, create_study
from trajet.experiments.variants import Variant, choose, load_variants, resolve

# Of a variant that the file plans nothing for.
_SEEDS = 3


def main(
    study: Annotated[str, typer.Option(help="Name of the study; one that exists is gone on with.")] = "ablation",
    variants: Annotated[Path, typer.Option(help="File of variants.")] = Path("configs/variants.yml"),
    only: Annotated[
        list[str] | None, typer.Option(help="A variant; may be given again.  [default: all that the file plans]")
    ] = None,
    updates: Annotated[int, typer.Option(help="Budget of each training.", min=1)] = 1000,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Trainings of each variant, with seeds from 0; of all variants if none is named.  [default: as the file plans, otherwise 3]",
            min=1,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes on this machine; 0 only fills the queue.", min=0)] = 2,
    storage: Annotated[str, typer.Option(help=STORAGE_HELP, envvar="TRAJET_STORAGE")] = DEFAULT_URL,
    folder: Annotated[Path | None, typer.Option(help=FOLDER_HELP)] = None,
    export: Annotated[
        Path | None, typer.Option(help="File for the finished trainings.  [default: metrics/STUDY.jsonl]")
    ] = None,
    heartbeat: Annotated[
        int, typer.Option(help="Seconds between the marks of a running trial, of a new study.", min=1)
    ] = Heartbeat().interval,
    grace: Annotated[
        int, typer.Option(help="Seconds without a mark after which a worker counts as dead, of a new study.", min=1)
    ] = Heartbeat().grace,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take out of the queue what was planned with another config or corpus.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Queue again what failed three times.")] = False,
) -> None:
    """Train the planned variants; what is finished is not trained again. More workers may join from other machines."""
    if grace < 2 * heartbeat:
        raise UserError(f"--grace {grace}: must be at least twice --heartbeat {heartbeat}")
    known = load_variants(variants)
    with console.status("working out the configs ..."):
        plan = _plan(_chosen(known, only, seeds), updates)
    opened = open_storage(storage)
    found = create_study(opened, study, updates, Heartbeat(heartbeat, grace))
    found.describe({variant.name: {"group": variant.group, "question": variant.question} for variant in known.values()})
    queued = found.enqueue(plan, replace, retry_failed)
    print(
        f"study {study}: {len(plan)} trainings of {updates:,} updates: {queued.complete} complete already, "
        f"{queued.running} running, {queued.waiting} waiting, {queued.added} added to the queue"
    )
    if queued.outdated:
        print(f"{queued.outdated} are complete, but with another config, corpus or package versions; trained again")
    for planned in queued.given_up:
        print(f"{planned.variant} seed {planned.seed} failed too often; --retry-failed queues it again")
    if not workers:
        return
    finished = run_workers(found, storage, workers, folder or Path("training") / study)
    path = export or Path("metrics") / f"{study}.jsonl"
    left = what_is_left(found, {planned.key for planned in plan})
    if write_export(found, path):
        print_wrote([path])
    if left:
        print("the same command goes on with what is left")
    if left or not finished:
        raise typer.Exit(1 if finished else 130)


def _chosen(known: dict[str, Variant], only: list[str] | None, seeds: int | None) -> list[tuple[Variant, int]]:
    """The variants to train and how often."""
    if only:
        chosen = [choose(known, name) for name in only]
    elif seeds or not any(variant.seeds for variant in known.values()):
        chosen = list(known.values())
    else:
        chosen = [variant for variant in known.values() if variant.seeds]
    return [(variant, seeds or variant.seeds or _SEEDS) for variant in chosen]


def _plan(chosen: list[tuple[Variant, int]], updates: int) -> list[Planned]:
    """Seed by seed, so that after a third of the time every variant has been trained once."""
    plan = []
    for seed in range(max(seeds for _, seeds in chosen)):
        for variant, seeds in chosen:
            if seed < seeds:
                config = resolve(variant, updates, seed)
                plan.append(Planned(variant.name, seed, trial_key(config), config.to_str()))
    return plan


if __name__ == "__main__":
    run(main)
