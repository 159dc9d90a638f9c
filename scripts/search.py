"""Search the settings of a training: points of a space, trained on a share of the documents, resumable: a study."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import console, print_table, print_wrote, run
from scripts._workers import FOLDER_HELP, STORAGE_HELP, run_workers, what_is_left
from trajet.errors import UserError
from trajet.experiments.search.documents import DEV, REST, SearchSettings
from trajet.experiments.search.importance import LEAST, importance
from trajet.experiments.search.parameter import condition, shown
from trajet.experiments.search.results import COMPLETE, SearchResults, edges, read_results, write_results
from trajet.experiments.search.search import begin, enqueue, finished_points
from trajet.experiments.search.space import SearchSpace
from trajet.experiments.search.space_file import load_space
from trajet.experiments.studies.storage import DEFAULT_URL, Heartbeat, open_storage
from trajet.experiments.studies.study import create_study
from trajet.files import write_text
from trajet.plots.experiments import search_history, search_importance, search_slices
from trajet.plots.style import save

_SHOWN = 5


class Validate(str, Enum):
    """Where the documents come from that points are judged on."""

    rest = REST
    dev = DEV


def main(
    study: Annotated[str, typer.Option(help="Name of the study; one that exists is gone on with.")] = "search",
    trials: Annotated[int, typer.Option(help="Points to be trained in all; what is done counts.", min=1)] = 40,
    updates: Annotated[int, typer.Option(help="Budget of each training.", min=1)] = 600,
    workers: Annotated[int, typer.Option(help="Processes on this machine; 0 only fills the queue.", min=0)] = 2,
    space: Annotated[Path, typer.Option(help="File of the search space.")] = Path("configs/search.yml"),
    validate: Annotated[
        Validate, typer.Option(help="Judge on training documents that the share leaves, or on the dev split.")
    ] = Validate.rest,
    share: Annotated[float, typer.Option(help="Share of the training documents that is trained on.")] = 0.05,
    documents: Annotated[int, typer.Option(help="Documents to judge on; 0 for all.", min=0)] = 500,
    seed: Annotated[int, typer.Option(help="Of the points, the documents and every training.", min=0)] = 0,
    storage: Annotated[str, typer.Option(help=STORAGE_HELP, envvar="TRAJET_STORAGE")] = DEFAULT_URL,
    folder: Annotated[Path | None, typer.Option(help=FOLDER_HELP)] = None,
    export: Annotated[
        Path | None, typer.Option(help="File for the finished points.  [default: metrics/STUDY.jsonl]")
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder of the pictures.  [default: plots/STUDY]")] = None,
    heartbeat: Annotated[
        int, typer.Option(help="Seconds between the marks of a running trial, of a new study.", min=1)
    ] = Heartbeat().interval,
    grace: Annotated[
        int, typer.Option(help="Seconds without a mark after which a worker counts as dead, of a new study.", min=1)
    ] = Heartbeat().grace,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Queue again what failed three times.")] = False,
) -> None:
    """Search configs/search.yml; what is finished is not trained again. More workers may join from other machines.

    Ends with the best points, the importance of the parameters, warnings where the best point lies at an edge, and
    the best config, ready to train with.
    """
    if grace < 2 * heartbeat:
        raise UserError(f"--grace {grace}: must be at least twice --heartbeat {heartbeat}")
    folder = folder or Path("training") / study
    settings = SearchSettings(share, validate.value, documents, seed)
    with console.status("reading the search space ..."):
        loaded = load_space(space, updates)
    found = create_study(open_storage(storage), study, updates, Heartbeat(heartbeat, grace))
    with console.status("choosing the documents ..."):
        chosen = begin(found, loaded, settings, folder)
    left = "documents that are left" if validate == Validate.rest else "documents of the dev split"
    print(f"trains on {chosen.trained:,} documents, judges on {chosen.judged:,} of the {chosen.judged_of:,} {left}")
    queued = enqueue(found, trials, retry_failed)
    print(
        f"study {study}: {trials} points of {updates:,} updates: {queued.complete} finished already, "
        f"{queued.running} running, {queued.waiting} waiting, {queued.added} added to the queue"
    )
    for planned in queued.given_up:
        print(f"{planned.variant} failed too often; --retry-failed queues it again")
    if not workers:
        return
    finished = run_workers(found, storage, workers, folder)
    points = finished_points(found)
    if points:
        results = SearchResults(
            study, updates, vars(settings), loaded.parameters, points, importance(loaded.parameters, points, seed)
        )
        path = write_results(results, export or Path("metrics") / f"{study}.jsonl")
        # What is said and drawn is what others read.
        _report(read_results(path), loaded, settings, path, folder, plots or Path("plots") / study)
    left = what_is_left(found)
    if not finished:
        raise typer.Exit(130)
    if left:
        print("the same command goes on with what is left")
        raise typer.Exit(1)


def _report(
    results: SearchResults, space: SearchSpace, settings: SearchSettings, export: Path, folder: Path, plots: Path
) -> None:
    pictures = {
        "history": search_history.draw(search_history.data(results)).figure,
        "importance": search_importance.draw(search_importance.data(results)).figure,
        "slices": search_slices.figure(search_slices.data(results)),
    }
    written = [export, *(path for name, figure in pictures.items() for path in save(figure, plots / name))]
    pruned = sum(point.state != COMPLETE for point in results.points)
    print(f"{len(results.points)} points: {len(results.points) - pruned} trained to the end, {pruned} given up early")
    best = results.best(_SHOWN)
    if best:
        columns = ("", *(f"point {point.number}" for point in best))
        rows = [("F", *(f"{point.score:.4f}" for point in best))]
        rows += [
            (each.name, *(shown(point.values[each.name]) if each.name in point.values else None for point in best))
            for each in results.parameters
            if any(each.name in point.values for point in best)
        ]
        print_table("The best points", columns, rows)
        written.append(_write_best(results, space, settings, folder))
    _print_importance(results)
    for line in edges(results.parameters, best[0]) if best else ():
        print(f"warning: {line}")
    print_wrote(written)


def _print_importance(results: SearchResults) -> None:
    if not results.importance:
        print(f"importance: needs {LEAST} points with different scores")
        return
    conditions = {parameter.name: condition(parameter) for parameter in results.parameters}
    rows = [
        (
            each.name,
            f"{each.value:.4f}",
            f"{each.chance:.4f}",
            "yes" if each.is_beyond_chance else "no",
            conditions[each.name],
        )
        for each in results.importance
    ]
    columns = ("", "importance", "by chance", "beyond chance", "only with")
    print_table("What decides whether a point is among the best", columns, rows)


def _write_best(results: SearchResults, space: SearchSpace, settings: SearchSettings, folder: Path) -> Path:
    best = results.best()[0]
    source = "documents that the share leaves" if settings.validate == REST else "the dev split"
    head = (
        f"# The best of {len(results.points)} points of the study {results.study}: point {best.number}, F {best.score:.4f}",
        f"# after {results.updates} updates on {100 * settings.share:g} % of the training documents, judged on {source}.",
        "# Here it trains on all of them. Its score is the largest of many and so flatters it; the best settings for",
        "# more updates or more documents may be others.",
    )
    text = "\n".join((*head, "", space.ready_config(best.values, settings.seed).to_str()))
    return write_text(folder / "best.cfg", text + "\n")


if __name__ == "__main__":
    run(main)
