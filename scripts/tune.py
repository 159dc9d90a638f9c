"""Choose settings by the method of training from scratch: phases, criteria, a decision log."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from optuna.trial import TrialState

from scripts._cli import print_table, print_wrote, run
from scripts._workers import FOLDER_HELP, STORAGE_HELP, run_workers, what_is_left
from trajet.config import load_config
from trajet.errors import UserError
from trajet.experiments.key import trial_key
from trajet.experiments.result import Result
from trajet.experiments.studies.storage import DEFAULT_URL, open_storage
from trajet.experiments.studies.study import Planned, RunStudy, create_study
from trajet.experiments.studies.worker import Ablation, SameKey, Stop, run_worker
from trajet.experiments.tuning.data_check import check_splits
from trajet.experiments.tuning.decision_log import to_dict, to_markdown
from trajet.experiments.tuning.protocol import load_protocol
from trajet.experiments.tuning.tune import Results, tune
from trajet.experiments.variants import Variant, diff, resolve
from trajet.files import write_json, write_text


def main(
    protocol: Annotated[Path, typer.Option(help="What is tried and what decides.")] = Path("configs/tune.yml"),
    study: Annotated[str, typer.Option(help="Name of the study; one that exists is gone on with.")] = "tune",
    updates: Annotated[int, typer.Option(help="Budget of each training.", min=10)] = 500,
    workers: Annotated[int, typer.Option(help="Processes on this machine; 0 trains in this one.", min=0)] = 2,
    test: Annotated[Path, typer.Option(help="Split that is scored once, at the end.")] = Path("corpus/test.spacy"),
    storage: Annotated[str, typer.Option(help=STORAGE_HELP, envvar="TRAJET_STORAGE")] = DEFAULT_URL,
    folder: Annotated[Path | None, typer.Option(help=FOLDER_HELP)] = None,
    output: Annotated[Path, typer.Option(help="All numbers.")] = Path("metrics/tune.json"),
    page: Annotated[Path | None, typer.Option(help="The decision log.  [default: FOLDER/decisions.md]")] = None,
    best: Annotated[Path | None, typer.Option(help="The chosen config.  [default: FOLDER/best.cfg]")] = None,
) -> None:
    """Phases 1 to 5; what is finished is not trained again, so that an interrupted run goes on where it was."""
    plan = load_protocol(protocol)
    folder = folder or Path("training") / study
    paths = load_config(plan.base)["paths"]
    data = check_splits({"train": Path(paths["train"]), "dev": Path(paths["dev"]), "test": test})
    opened = create_study(open_storage(storage), study, updates)

    def train(variants: Sequence[Variant], seeds: int, dev: Path | None = None) -> dict[str, Results]:
        planned = {}
        for variant in variants:
            for seed in range(seeds):
                config = resolve(variant, updates, seed, {"dev": dev} if dev else None)
                planned[variant.name, seed] = Planned(variant.name, seed, trial_key(config), config.to_str())
        if opened.enqueue(planned.values(), replace=True).complete < len(planned):
            print(f"training {', '.join(dict.fromkeys(name for name, _ in planned))}")
            if not _train_all(opened, storage, min(workers, len(planned)), folder):
                print("the same command goes on with what is left")
                raise typer.Exit(130)
        done = {trial.user_attrs["key"]: trial.user_attrs["result"] for trial in opened.trials(TrialState.COMPLETE)}
        if any(entry.key not in done for entry in planned.values()):
            what_is_left(opened)
            raise UserError(
                f"study {study}: trainings failed (see above); mend the cause and run the same command again"
            )
        found: dict[str, dict[int, Result]] = {}
        for (name, seed), entry in planned.items():
            found.setdefault(name, {})[seed] = Result.from_dict(done[entry.key])
        return found

    outcome = tune(plan, train, lambda variants, seeds: train(variants, seeds, test), data)
    for decision in outcome.decisions:
        if decision.lines:
            rows = [(line.name, line.measures["dev_f"], line.judged.verdict, line.outcome) for line in decision.lines]
            print_table(f"{decision.phase}: {decision.question}", ["candidate", "dev F", "curve", "outcome"], rows)
        for text in decision.text:
            print(f"- {text}")
    chosen = resolve(outcome.chosen, updates, 0)
    changes = diff(resolve(outcome.base, updates, 0), chosen)
    print_wrote([
        write_json(output, to_dict(outcome)),
        write_text(page or folder / "decisions.md", to_markdown(outcome, changes, updates)),
        write_text(best or folder / "best.cfg", chosen.to_str()),
    ])  # fmt: skip


def _train_all(study: RunStudy, storage: str, workers: int, folder: Path) -> bool:
    """Train what waits; False if stopped by Ctrl-C."""
    if workers:
        return run_workers(study, storage, workers, folder)
    stop = Stop().listen()
    run_worker(study, Ablation(folder), SameKey(), stop, lambda done: print(done.text, flush=True))
    return not stop.requested


if __name__ == "__main__":
    run(main)
