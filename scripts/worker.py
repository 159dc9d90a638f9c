"""Join a study: take its trials and train them until nothing is left."""

import os
from pathlib import Path
from typing import Annotated

import typer

from trajet.experiments.studies.threads import ONE_THREAD

# Before anything loads numpy: one thread a worker, unless somebody wants it otherwise.
for _name, _value in ONE_THREAD.items():
    os.environ.setdefault(_name, _value)

from scripts._cli import run  # noqa: E402
from scripts._workers import FOLDER_HELP, STORAGE_HELP, run_workers, what_is_left  # noqa: E402
from trajet.errors import UserError  # noqa: E402
from trajet.experiments.search.search import is_search, search_job  # noqa: E402
from trajet.experiments.studies.storage import DEFAULT_URL, open_storage  # noqa: E402
from trajet.experiments.studies.study import load_study  # noqa: E402
from trajet.experiments.studies.worker import Ablation, SameKey, Stop, run_worker  # noqa: E402


def main(
    study: Annotated[str, typer.Option(help="Name of the study.")],
    storage: Annotated[str, typer.Option(help=STORAGE_HELP, envvar="TRAJET_STORAGE")] = DEFAULT_URL,
    workers: Annotated[int, typer.Option(help="Processes on this machine.", min=1)] = 1,
    folder: Annotated[Path | None, typer.Option(help=FOLDER_HELP)] = None,
) -> None:
    """Train what waits in a study made by `ablate` or `search`, here or on another machine; leave when nothing waits or runs.

    May join and leave at any time: Ctrl-C puts the trial in hand back into the queue.
    """
    folder = folder or Path("training") / study
    found = load_study(open_storage(storage), study, storage)
    if workers > 1:
        finished = run_workers(found, storage, workers, folder)
        what_is_left(found)
        raise typer.Exit(0 if finished else 130)
    stop = Stop().listen()
    job, can_run = search_job(found, folder) if is_search(found) else (Ablation(folder), SameKey())
    completed = run_worker(found, job, can_run, stop, lambda done: print(done.text, flush=True))
    print(f"study {study}: {completed} trainings completed by this worker")
    if can_run.refused:
        raise UserError(
            f"study {study}: {len(can_run.refused)} trials wait that would be another training here: the corpus, the "
            "package versions or the code that reads configs differ from the machine that queued them"
        )
    if stop.requested:
        raise typer.Exit(130)


if __name__ == "__main__":
    run(main)
