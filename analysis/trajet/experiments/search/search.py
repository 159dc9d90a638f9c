"""A search as a study: numbered points of a space, each asked for, trained on a share of the documents and judged."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from trajet.errors import UserError
from trajet.experiments.key import trial_key
from trajet.experiments.result import Result
from trajet.experiments.run import run_config
from trajet.experiments.search.documents import Documents, SearchSettings, write_documents
from trajet.experiments.search.drawing import pruner, sampler
from trajet.experiments.search.parameter import Value
from trajet.experiments.search.results import COMPLETE, PRUNED, Point
from trajet.experiments.search.space import SearchSpace
from trajet.experiments.search.space_file import load_space
from trajet.experiments.studies.study import Enqueued, Planned, RunStudy
from trajet.experiments.studies.worker import Ablation, report_to
from trajet.files import read_text, write_text

_ATTRIBUTE = "search"


# -- the study -------------------------------------------------------------------------------------


def begin(study: RunStudy, space: SearchSpace, settings: SearchSettings, folder: Path) -> Documents:
    """Make a study the search of this space, or see that it is.

    Returns:
        The documents, written to `folder`.
    Raises:
        UserError: the study is an ablation, or a search of another space, with other settings or another corpus.
    """
    documents = write_documents(space, settings, folder)
    wanted = {
        "settings": asdict(settings),
        "space": space.to_dict(),
        "reference": _reference(space, settings, documents.paths),
    }
    known = study.optuna.user_attrs.get(_ATTRIBUTE)
    another = f"begin another study (--study {study.name}-2)"
    if known is None:
        if study.trials():
            raise UserError(f"study {study.name} has trainings that `search` did not plan; {another}")
        texts = {"space_text": read_text(space.path, ""), "base_text": read_text(space.base, "")}
        study.optuna.set_user_attr(_ATTRIBUTE, {**wanted, **texts})
        return documents
    for name, value in wanted["settings"].items():
        if known["settings"][name] != value:
            raise UserError(
                f"study {study.name} was begun with --{name} {known['settings'][name]}: ask for the same, or {another}"
            )
    if known["space"] != wanted["space"]:
        raise UserError(
            f"study {study.name} was begun with another space than {space.path}{_difference(known, wanted)}; {another}"
        )
    if known["reference"] != wanted["reference"]:
        raise UserError(
            f"study {study.name} was begun with another corpus, {space.base.name} or package versions; {another}"
        )
    return documents


def is_search(study: RunStudy) -> bool:
    """Whether a study was begun by `begin`."""
    return _ATTRIBUTE in study.optuna.user_attrs


def enqueue(study: RunStudy, trials: int, retry_failed: bool = False) -> Enqueued:
    """Queue the points that are missing of points 0 to `trials` - 1; what they are is asked when they are trained."""
    seed = study.optuna.user_attrs[_ATTRIBUTE]["settings"]["seed"]
    names = [f"point-{number:03}" for number in range(trials)]
    return study.enqueue([Planned(name, seed, name, "") for name in names], retry_failed=retry_failed)


def finished_points(study: RunStudy) -> list[Point]:
    """The points that were trained to the end or given up, by number."""
    points: dict[int, Point] = {}
    for trial in study.trials(TrialState.COMPLETE, TrialState.PRUNED):
        curve = sorted(trial.intermediate_values.items())
        complete = trial.state == TrialState.COMPLETE
        score = trial.value if complete else curve[-1][1] if curve else 0.0
        diverged = complete and bool(trial.user_attrs["result"]["diverged"])
        number = _number(trial)
        points.setdefault(
            number, Point(number, COMPLETE if complete else PRUNED, score, dict(trial.params), curve, diverged)
        )
    return [points[number] for number in sorted(points)]


def _number(trial: FrozenTrial | optuna.Trial) -> int:
    """Which point a trial is; a copy of a dead worker's trial is the same point under another trial number."""
    name, _, number = str(trial.user_attrs.get("key", "")).partition("-")
    if name != "point" or not number.isdigit():
        raise UserError(f"trial {trial.number} is no point of a search; this study runs what `search` queued")
    return int(number)


def _difference(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    before, after = ({entry["name"]: entry for entry in each["space"]["parameters"]} for each in (known, wanted))
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return f" ({', '.join(names)} differ)" if names else ""


def _reference(space: SearchSpace, settings: SearchSettings, paths: Mapping[str, Path]) -> str:
    """A key that changes with the corpus, the base config and the package versions."""
    config = space.config(space.first_point(), settings.seed, paths)
    for split, path in paths.items():
        if config["corpora"].get(split, {}).get("path") != str(path):
            raise UserError(
                f"{space.base}: [corpora.{split}] does not read ${{paths.{split}}}; a search puts its own documents there"
            )
    return trial_key(config)


# -- trials ----------------------------------------------------------------------------------------


class Search(Ablation):
    """Asks for the points of a search and trains them; folders as those of an ablation.

    Args:
        study: that `begin` made; its space and base config are written to `folder` and read from there.
        folder: for trainings, documents, space and base config.
    """

    def __init__(self, study: RunStudy, folder: Path):
        super().__init__(folder)
        begun = study.optuna.user_attrs[_ATTRIBUTE]
        self.settings = SearchSettings(**begun["settings"])
        self.updates: int = study.optuna.user_attrs["updates"]
        base = write_text(folder / "base.cfg", begun["base_text"])
        self.space = load_space(write_text(folder / "search.yml", begun["space_text"]), self.updates, base, tried=True)
        self.paths = write_documents(self.space, self.settings, folder).paths
        self.is_same = _reference(self.space, self.settings, self.paths) == begun["reference"]
        study.optuna.pruner = pruner(self.updates)

    def ask(self, trial: optuna.Trial) -> dict[str, Value]:
        """The point that a trial is; known already where its worker died or stopped."""
        trial.study.sampler = sampler(self.settings.seed, _number(trial))
        return self.space.ask(trial)

    def train(self, trial: optuna.Trial) -> Result:
        """Ask for the point and train it; raises TrialPruned when it is given up."""
        point = self.ask(trial)
        self.discard(trial)
        return run_config(
            self.space.config(point, self.settings.seed, self.paths),
            name=trial.user_attrs["variant"],
            seed=self.settings.seed,
            folder=self._working(trial),
            report=self._report_to(trial),
        )

    def _report_to(self, trial: optuna.Trial) -> Callable[[Mapping[str, Any]], None]:
        tell, ask = report_to(trial), report_to(trial, prune=True)

        def report(evaluation: Mapping[str, Any]) -> None:
            # At the end there is nothing left to save by giving up.
            (tell if evaluation["step"] >= self.updates else ask)(evaluation)

        return report


class SameSearch:
    """Whether corpus, base config and package versions are here what they were where a search was begun."""

    def __init__(self, job: Search):
        self._is_same = job.is_same
        self.refused: set[int] = set()

    def __call__(self, trial: FrozenTrial) -> bool:
        if not self._is_same:
            self.refused.add(trial.number)
        return self._is_same


def search_job(study: RunStudy, folder: Path) -> tuple[Search, SameSearch]:
    """What a worker of a search does with a trial, and whether it may."""
    job = Search(study, folder)
    return job, SameSearch(job)
