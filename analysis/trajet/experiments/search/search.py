"""A search as a study: numbered points of a space, each asked for, trained on a share of the documents and judged.

Pruner: successive halving. Trials are compared after a quarter and after half of their updates, and the better half of
those that came so far goes on (equals go on together); what is trained to the end is kept whatever it reached. Halving
generally beats the median pruner, which cuts half at every single evaluation. Hyperband runs several halvings side by
side, and the sampler then learns from the trials of one of them only: with the ten trials that it needs first in each,
a search of forty points would be drawn at random throughout. No look before a quarter, because a warm-up may last as
long, and half rather than a third or a quarter, because curves of different rates cross.

Sampler: Optuna's TPE, the parameters of one condition drawn together, points being trained elsewhere avoided; the first
ten at random. Point k is drawn with seed (seed, k), so no two workers ask for the same point and an interrupted search
does not begin its random numbers again.

What is reproducible: with one worker, the same seed, space and corpus give the same points and scores, if no training
was interrupted. With several workers a point still has its own seed, but later ones depend on which others had been
finished by then. Every training can be repeated from its point alone.
"""

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from trajet.errors import UserError
from trajet.experiments.key import trial_key
from trajet.experiments.result import Result
from trajet.experiments.run import run_config
from trajet.experiments.search.parameter import Value
from trajet.experiments.search.results import COMPLETE, PRUNED, Point
from trajet.experiments.search.space import SearchSpace, load_space
from trajet.experiments.studies.study import Enqueued, Planned, RunStudy
from trajet.experiments.studies.worker import Ablation, report_to
from trajet.files import read_text, write_atomically
from trajet.training.share import share_reader

REST, DEV = "rest", "dev"
_ATTRIBUTE = "search"
_STARTUP = 10
_LOOKS = 4  # the first one after 1 / _LOOKS of the updates
_CUT = 2


@dataclass(frozen=True)
class SearchSettings:
    """How the points of a search are trained and judged.

    Attributes:
        share: of the training documents that is trained on, above 0 and below 1 (at most 1 with DEV).
        validate: REST, documents that the share leaves, or DEV, the dev split.
        documents: how many of them are judged on; 0 for all.
        seed: of the points, of the choice of documents and of every training.
    """

    share: float = 0.05
    validate: str = REST
    documents: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or (self.share == 1 and self.validate == REST):
            raise UserError(f"--share {self.share:g}: must lie between 0 and 1 (1 with --validate {DEV} only)")


# -- the study -------------------------------------------------------------------------------------


def begin(study: RunStudy, space: SearchSpace, settings: SearchSettings, folder: Path) -> "Documents":
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


# -- documents -------------------------------------------------------------------------------------


class Documents(NamedTuple):
    """What is trained on and judged on."""

    paths: dict[str, Path]  # for [paths]: train and dev
    trained: int
    judged: int
    judged_of: int  # that they were chosen from


def write_documents(space: SearchSpace, settings: SearchSettings, folder: Path) -> Documents:
    """Write the documents that are trained on and judged on to files of their own.

    They are those that the reader `trajet.Share.v1` gives. The reader itself would read and tokenize the whole split
    for each evaluation, which takes longer than the training in between.

    Args:
        space: whose base config names the splits under [paths].
        settings: which documents.
        folder: the files go to folder/data, named after the settings.
    Raises:
        UserError: a split is missing, or no documents are left to judge on.
    """
    paths = space.config(space.first_point(), settings.seed)["paths"]
    train, seed = _read(paths, "train"), settings.seed
    trained = _share(train, settings.share, seed)
    judged = left = _share(train, settings.share, seed, rest=True) if settings.validate == REST else _read(paths, "dev")
    if 0 < settings.documents < len(left):
        judged = _share(left, settings.documents / len(left), seed)
    stem = f"{settings.share:g}-seed{seed}"
    files = {
        "train": _write(trained, folder / "data" / f"train-{stem}.spacy"),
        "dev": _write(judged, folder / "data" / f"{settings.validate}-{len(judged)}-{stem}.spacy"),
    }
    return Documents(files, len(trained), len(judged), len(left))


def _share(docs: list[Doc], share: float, seed: int, rest: bool = False) -> list[Doc]:
    # The reader hands on whatever it is given.
    return list(share_reader(lambda _: docs, share, seed, rest)(None))  # type: ignore[arg-type, return-value]


def _read(paths: Mapping[str, str], split: str) -> list[Doc]:
    path = Path(paths.get(split) or "")
    try:
        return list(DocBin().from_disk(path).get_docs(Vocab()))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a .spacy file"
        raise UserError(f"{path}: no corpus there ({reason}); run `python -m spacy project run corpus` first") from None


def _write(docs: list[Doc], path: Path) -> Path:
    content = DocBin(docs=docs, store_user_data=True).to_bytes()
    return write_atomically(path, lambda temporary: temporary.write_bytes(content))


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
        base = _write_text(folder / "base.cfg", begun["base_text"])
        self.space = load_space(_write_text(folder / "search.yml", begun["space_text"]), self.updates, base, tried=True)
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


def sampler(seed: int, point: int) -> optuna.samplers.BaseSampler:
    """What draws one point: TPE with random numbers of its own."""
    own = int.from_bytes(hashlib.sha256(f"{seed} {point}".encode()).digest()[:4], "big")
    with warnings.catch_warnings():
        # `group`: parameters of one condition together.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=own, n_startup_trials=_STARTUP, multivariate=True, group=True, constant_liar=True
        )


def pruner(updates: int) -> optuna.pruners.BasePruner:
    """Halving after a quarter and half of `updates`."""
    return _Halving(min_resource=max(1, updates // _LOOKS), reduction_factor=_CUT)


class _Halving(optuna.pruners.SuccessiveHalvingPruner):
    """Optuna's, but a trial that its worker took with it is not counted beside its copy."""

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return super().prune(_WithoutFailed(study), trial)  # type: ignore[arg-type]


class _WithoutFailed:
    def __init__(self, study: optuna.Study):
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True) -> list[FrozenTrial]:
        return [trial for trial in self._study.get_trials(deepcopy) if trial.state != TrialState.FAIL]


def _write_text(path: Path, text: str) -> Path:
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf8"))
