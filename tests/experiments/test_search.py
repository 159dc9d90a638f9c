"""Searches: the space and its mistakes, points and their configs, pruning, resuming, what is exported and drawn."""

import json
import math
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from matplotlib.figure import Figure
from optuna.trial import TrialState
from spacy.util import load_config, registry
from thinc.api import Config

from tests.conftest import ROOT, run_script
from tests.experiments.small_variants import write_small_variants
from trajet.errors import UserError
from trajet.experiments.run import run_config
from trajet.experiments.search.documents import SearchSettings, write_documents
from trajet.experiments.search.drawing import pruner, sampler
from trajet.experiments.search.importance import importance
from trajet.experiments.search.parameter import Parameter, condition
from trajet.experiments.search.results import (
    COMPLETE,
    PRUNED,
    Importance,
    Point,
    SearchResults,
    edges,
    read_results,
    write_results,
)
from trajet.experiments.search.search import (
    Search,
    begin,
    enqueue,
    finished_points,
    is_search,
    search_job,
)
from trajet.experiments.search.space import SearchSpace
from trajet.experiments.search.space_file import load_space
from trajet.experiments.studies.storage import RetryDeadWorkersTrial, open_storage
from trajet.experiments.studies.study import Planned, RunStudy, create_study
from trajet.experiments.studies.worker import run_worker
from trajet.plots.experiments import search_history, search_importance, search_slices

UPDATES = 30
# Evaluated at 10, 20 and 30: looked at after a quarter (at 10) and after half (at 20).
SPACE = """\
base: small.cfg
always:
  training.max_steps: ${budget}
  training.patience: 0
  training.eval_frequency: 10
  training.batcher.size: 150
  training.before_update: null
parameters:
  optimizer:
    kind: categorical
    choices:
      adam: {}
      sgd:
        training.optimizer:
          "@optimizers": trajet.SGD.v1
          momentum: 0.0
          nesterov: false
          dampening: 0.0
          L2: 0.01
          L2_is_weight_decay: true
          grad_clip: 1.0
          learn_rate:
            "@schedules": warmup_linear.v1
            warmup_steps: 0
            total_steps: ${budget}
            initial_rate: 5e-4
  adam_rate:
    kind: float
    range: [1e-4, 5e-2]
    log: true
    when: {optimizer: [adam]}
    sets: training.optimizer.learn_rate.initial_rate
  sgd_rate:
    kind: float
    range: [1e-3, 1.0]
    log: true
    when: {optimizer: [sgd]}
    sets: training.optimizer.learn_rate.initial_rate
  momentum:
    kind: float
    range: [0.0, 0.95]
    when: {optimizer: [sgd]}
    sets: training.optimizer.momentum
  warmup:
    kind: int
    range: [0, "${budget * 0.25}"]
    sets: training.optimizer.learn_rate.warmup_steps
  clip:
    kind: categorical
    choices: [0.0, 1.0]
    sets: training.optimizer.grad_clip
"""
SETTINGS = SearchSettings(share=0.15, documents=30)


@pytest.fixture(scope="module")
def space_file(overrides: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """search.yml beside small.cfg."""
    folder = tmp_path_factory.mktemp("space")
    write_small_variants(folder, overrides)
    (folder / "search.yml").write_text(SPACE, encoding="utf8")
    return folder / "search.yml"


@pytest.fixture(scope="module")
def space(space_file: Path) -> SearchSpace:
    return load_space(space_file, UPDATES)


def _begun(space: SearchSpace, folder: Path, trials: int, settings: SearchSettings = SETTINGS) -> RunStudy:
    study = create_study(open_storage(f"sqlite:///{folder}/studies.db"), "s", space.updates)
    begin(study, space, settings, folder / "begun")
    enqueue(study, trials)
    return study


def _searched(space: SearchSpace, folder: Path, trials: int, settings: SearchSettings = SETTINGS) -> RunStudy:
    study = _begun(space, folder, trials, settings)
    run_worker(study, *search_job(study, folder / "search"))
    return study


def _results(study: RunStudy, space: SearchSpace) -> SearchResults:
    points = finished_points(study)
    return SearchResults("s", UPDATES, vars(SETTINGS), space.parameters, points, importance(space.parameters, points))


@pytest.fixture(scope="module")
def searched(space: SearchSpace, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunStudy, Path]:
    """A search of six points by one worker."""
    folder = tmp_path_factory.mktemp("searched")
    return _searched(space, folder, 6), folder


class Draws:
    """Values drawn without Optuna."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        if log:
            return min(high, math.exp(self.random.uniform(math.log(low), math.log(high))))
        return self.random.uniform(low, high)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return self.random.randint(low, high)

    def suggest_categorical(self, name: str, choices: tuple) -> Any:
        return self.random.choice(choices)


def _at(config: Mapping, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part]
    return value


# -- the space -------------------------------------------------------------------------------------


def test_the_committed_space_gives_configs_that_say_what_the_points_say() -> None:
    space = load_space(ROOT / "configs" / "search.yml", 600)
    rate, functions = "training.optimizer.learn_rate.initial_rate", set()
    for seed in range(12):
        point = space.ask(Draws(seed))
        config = space.config(point, seed=7)
        sgd, near = point["optimizer"] == "sgd", point["encoder"] == "near"
        assert ("momentum" in point, "sgd_rate" in point) == (sgd, sgd)
        assert ("beta2" in point, "adam_rate" in point) == (not sgd, not sgd)
        assert ("dropout_near" in point, "dropout_far" in point) == (near, not near)
        assert _at(config, rate) == point["sgd_rate" if sgd else "adam_rate"]
        assert config["training"]["optimizer"]["momentum" if sgd else "beta2"] == point["momentum" if sgd else "beta2"]
        assert config["training"]["dropout"] == point["dropout_near" if near else "dropout_far"]
        assert config["components"]["tok2vec"]["model"]["encode"]["window_size"] == (1 if near else 4)
        assert config["initialize"]["after_init"]["factor"] == point["first_weights"]
        assert _at(config, "training.optimizer.learn_rate.warmup_steps") == point["warmup"] <= 150
        assert (config["training"]["optimizer"]["L2"], config["training"]["optimizer"]["grad_clip"]) == (
            point["L2"],
            point["clip"],
        )
        assert _at(config, "training.optimizer.learn_rate.total_steps") == config["training"]["max_steps"] == 600
        assert config["training"]["optimizer"]["use_averages"] is False
        assert config["system"]["seed"] == config["training"]["seed"] == 7
        functions.add(config["training"]["optimizer"]["@optimizers"])
    assert functions == {"Adam.v1", "trajet.AdamW.v1", "RAdam.v1", "trajet.SGD.v1"}


def test_dropout_by_encoder_where_torch_is_there(space_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "search.yml").write_text(
        "base: base.cfg\n"
        "parameters:\n"
        "  encoder:\n"
        "    kind: categorical\n"
        "    choices:\n"
        "      windows: {}\n"
        "      gru:\n"
        "        components.tok2vec.model.encode:\n"
        '          "@architectures": trajet.RecurrentEncoder.v1\n'
        "          cell: gru\n"
        "          width: 24\n"
        "          depth: 2\n"
        "          dropout: 0.0\n"
        "  between_layers:\n"
        "    kind: float\n"
        "    range: [0.0, 0.5]\n"
        "    when: {encoder: gru}\n"
        "    sets: components.tok2vec.model.encode.dropout\n"
    )
    space = load_space(tmp_path / "search.yml", 600, space_file.with_name("small.cfg"))
    gru = space.config({"encoder": "gru", "between_layers": 0.25}, seed=0)["components"]["tok2vec"]["model"]["encode"]
    assert (gru["cell"], gru["dropout"]) == ("gru", 0.25)
    assert {"encoder", "between_layers"} >= {*space.ask(Draws(0))} >= {"encoder"}
    bad = (tmp_path / "search.yml").read_text().replace("cell: gru", "cell: rnn")
    (tmp_path / "search.yml").write_text(bad)
    with pytest.raises(UserError, match=r"search\.yml:3: 'gru' cannot be used: .*cell is 'rnn'"):
        load_space(tmp_path / "search.yml", 600, space_file.with_name("small.cfg"))


BAD = {
    "unknown key": (("    log: true\n    when: {optimizer: [adam]}", "    logs: true"), 30, ["no 'logs'", "nearest is 'log'"]),
    "unknown top-level key": (("always:", "allways:"), 2, ["no 'allways'", "'always'"]),
    "no base": (("base: small.cfg", "base: smal.cfg"), 1, ["no config", "'small.cfg'"]),
    "unknown kind": (("kind: int", "kind: integer"), 45, ["'warmup' has kind 'integer'", "float, int, categorical"]),
    "range the wrong way round": (("[1e-4, 5e-2]", "[5e-2, 1e-4]"), 29, ["[0.05, 0.0001]", "wrong way round"]),
    "range of one number": (("[1e-4, 5e-2]", "[1e-4]"), 29, ["write two numbers"]),
    "range of words": (("[1e-4, 5e-2]", "[low, high]"), 29, ["write two numbers"]),
    "log of 0": (("[1e-3, 1.0]", "[0.0, 1.0]"), 35, ["log: true needs it above 0"]),
    "fractions of an int": (('[0, "${budget * 0.25}"]', "[0, 2.5]"), 46, ["write whole numbers"]),
    "log of another type": (("log: true", "log: maybe"), 30, ["'maybe'", "true or false"]),
    "when of an unknown parameter": (("{optimizer: [adam]}", "{optimiser: [adam]}"), 31, ["no parameter 'optimiser'", "nearest is 'optimizer'"]),
    "when of an unknown choice": (("{optimizer: [adam]}", "{optimizer: [adan]}"), 31, ["no choice 'adan'", "'adam'"]),
    "when of a number": (("{optimizer: [sgd]}\n    sets: training.optimizer.momentum", "{sgd_rate: [0.1]}\n    sets: training.optimizer.momentum"), 42, ["'sgd_rate' is float"]),
    "unknown setting": (("training.optimizer.grad_clip\n", "training.optimizer.gradclip\n"), 48, ["no 'training.optimizer.gradclip'", "nearest is 'training.optimizer.grad_clip'"]),
    "unknown setting of some choice": (("    when: {optimizer: [sgd]}\n    sets: training.optimizer.momentum", "    sets: training.optimizer.momentum"), 39, ["no 'training.optimizer.momentum'"]),
    "unknown setting of all": (("training.patience", "training.patients"), 4, ["no 'training.patients'"]),
    "unknown optimizer": (("trajet.SGD.v1", "trajet.SDG.v1"), 9, ["no @optimizers 'trajet.SDG.v1'", "trajet.SGD.v1"]),
    "no setting": (("    sets: training.optimizer.momentum\n", ""), 40, ["'momentum' needs `sets:`"]),
    "one choice": (("choices: [0.0, 1.0]", "choices: [1.0]"), 50, ["at least two different"]),
    "choices that are equal": (("choices: [0.0, 1.0]", "choices: [1.0, 1]"), 50, ["at least two different"]),
    "two that set the same": (("{optimizer: [adam]}", "{optimizer: [adam, sgd]}"), 33, ["'sgd_rate' sets training.optimizer.learn_rate.initial_rate, as 'adam_rate' does"]),
    "a name that trials have": (("  momentum:\n", "  seed:\n"), 39, ["'seed'", "neither variant nor seed"]),
    "a value of the wrong type": (("[0.0, 0.95]\n    when: {optimizer: [sgd]}\n    sets: training.optimizer.momentum", "[0.0, 0.95]\n    sets: training.max_steps"), 39, ["momentum = ", "is refused", "max_steps"]),
    "averages": (("training.optimizer.grad_clip\n", "training.optimizer.use_averages\n"), 48, ["use_averages"]),
    "not YAML": (("parameters:", "parameters: ["), None, []),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_space_is_refused_with_its_line(what: str, space_file: Path, tmp_path: Path) -> None:
    (old, new), line, words = BAD[what]
    assert old in SPACE
    path = tmp_path / "search.yml"
    path.write_text(SPACE.replace(old, new, 1), encoding="utf8")
    shutil.copy(space_file.with_name("small.cfg"), tmp_path)
    with pytest.raises(UserError) as caught:
        load_space(path, UPDATES)
    text = str(caught.value)
    assert text.startswith(f"{path}:{line}: " if line else f"{path}:"), text
    assert all(word in text for word in words), text
    assert "\n" not in text


def test_a_block_below_what_it_replaces_is_refused(space_file: Path, tmp_path: Path) -> None:
    head, parameters = SPACE.split("parameters:\n")
    clip = parameters.index("  clip:")
    path = tmp_path / "search.yml"
    path.write_text(f"{head}parameters:\n{parameters[clip:]}{parameters[:clip]}", encoding="utf8")
    with pytest.raises(UserError, match=r"search\.yml:9: what 'clip' sets .* is replaced by a parameter below"):
        load_space(path, UPDATES, space_file.with_name("small.cfg"))


def test_the_command_refuses_with_one_line_and_exit_code_2(space_file: Path, tmp_path: Path) -> None:
    path = space_file.with_name("bad.yml")
    path.write_text(SPACE.replace("[1e-4, 5e-2]", "[5e-2, 1e-4]"), encoding="utf8")
    done = run_script("search", "--space", path, "--storage", f"sqlite:///{tmp_path}/a.db", "--folder", tmp_path / "f")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {path}:29: the range [0.05, 0.0001] is the wrong way round or empty; write [low, high]\n"
    )
    assert list(tmp_path.iterdir()) == []


# -- documents -------------------------------------------------------------------------------------


def _texts(config: Config, corpus: str) -> list[tuple]:
    from trajet.corpus.build import blank_pipeline

    reader = registry.resolve({"reader": config["corpora"][corpus]})["reader"]
    return [
        (doc.text, [(ent.text, ent.label_) for ent in doc.ents], doc.user_data["frame"], doc.has_annotation("ENT_IOB"))
        for doc in (example.reference for example in reader(blank_pipeline()))
    ]


def test_the_documents_are_those_of_the_reader(space: SearchSpace, tmp_path: Path) -> None:
    """The oracle is the registered reader in a config, read through spaCy."""
    plain = space.config(space.first_point(), 0)
    corpus = plain["corpora"]["train"]
    for name, rest in (("share", False), ("rest", True)):
        plain["corpora"][name] = {"@readers": "trajet.Share.v1", "share": 0.15, "seed": 0, "rest": rest, "corpus": corpus}  # fmt: skip
    paths = write_documents(space, SearchSettings(share=0.15, documents=0), tmp_path).paths
    own = space.config(space.first_point(), 0, paths)
    assert _texts(own, "train") == _texts(plain, "share")
    assert _texts(own, "dev") == _texts(plain, "rest")
    assert (len(_texts(own, "train")), len(_texts(own, "dev"))) == (60, 340)

    some = space.config(space.first_point(), 0, write_documents(space, SETTINGS, tmp_path).paths)
    assert len(_texts(some, "dev")) == 30
    # Sentences may be alike: counted, not compared as sets.
    left = _texts(plain, "rest")
    for text in _texts(some, "dev"):
        left.remove(text)
    assert len(left) == 310

    dev = space.config(space.first_point(), 0, write_documents(space, SearchSettings(0.15, "dev", 0), tmp_path).paths)
    assert _texts(dev, "dev") == _texts(plain, "dev")


def test_a_share_that_cannot_be_and_a_missing_corpus_are_refused(space_file: Path, tmp_path: Path) -> None:
    for share in (0.0, 1.5, float("nan")):
        with pytest.raises(UserError, match="--share"):
            SearchSettings(share)
    with pytest.raises(UserError, match="1 with --validate dev only"):
        SearchSettings(1.0)
    assert SearchSettings(1.0, "dev").share == 1
    config = Config().from_disk(space_file.with_name("small.cfg"), interpolate=False)
    config["paths"]["train"] = str(tmp_path / "nowhere.spacy")
    config.to_disk(tmp_path / "small.cfg")
    with pytest.raises(UserError, match=r"nowhere\.spacy: no corpus there"):
        write_documents(load_space(space_file, UPDATES, tmp_path / "small.cfg"), SETTINGS, tmp_path)
    config = Config().from_disk(space_file.with_name("small.cfg"), interpolate=False)
    config["corpora"]["train"]["path"] = config["paths"]["train"]
    config.to_disk(tmp_path / "small.cfg")
    with pytest.raises(UserError, match=r"small\.cfg: \[corpora\.train\] does not read"):
        _begun(load_space(space_file, UPDATES, tmp_path / "small.cfg"), tmp_path, 1)


# -- the study -------------------------------------------------------------------------------------


def test_points_given_up_are_those_that_halving_gives_up(space: SearchSpace, tmp_path: Path) -> None:
    """Worked out again from the curves: after a quarter and a half the better half of those that came so far goes on."""
    # With this seed some points learn within thirty updates and some do not.
    points = finished_points(_searched(space, tmp_path, 6, SearchSettings(share=0.15, documents=30, seed=3)))
    assert [point.number for point in points] == list(range(6))
    looks = (30 // 4, 30 // 4 * 2)
    reached: dict[int, list[float]] = {look: [] for look in looks}
    states = []
    for point in points:
        state, left = COMPLETE, list(looks)
        for step, score in point.curve:
            # A run that diverges is evaluated where it stops, and need not reach a look.
            while state == COMPLETE and left and left[0] <= step < UPDATES:
                scores = reached[left.pop(0)]
                scores.append(score)
                if score < sorted(scores, reverse=True)[max(1, len(scores) // 2) - 1]:
                    state = PRUNED
        assert (point.curve[-1][0] == UPDATES) == (state == COMPLETE and not point.diverged)
        assert point.score == point.curve[-1][1]
        states.append(state)
    assert [point.state for point in points] == states
    assert 1 <= states.count(PRUNED) < 6


def test_folders_are_left_of_what_was_trained_to_the_end(searched: tuple[RunStudy, Path]) -> None:
    study, folder = searched
    complete = {point.number for point in finished_points(study) if point.state == COMPLETE}
    kept = folder / "search"
    assert {path.name for path in kept.glob("point-*")} == {f"point-{number:03}-seed0" for number in complete}
    assert not any((kept / "unfinished").iterdir())
    assert study.counts().complete == 6


def test_one_worker_and_one_seed_give_the_same_bytes(
    space: SearchSpace, searched: tuple[RunStudy, Path], tmp_path: Path
) -> None:
    """And more points are added to what is there: four first, then two, are the six of the other search."""
    study = _searched(space, tmp_path, 4)
    four = finished_points(study)
    assert len(four) == 4
    queued = enqueue(study, 6)
    assert (queued.complete, queued.added) == (4, 2)
    run_worker(study, *search_job(study, tmp_path / "again"))
    assert finished_points(study)[:4] == four
    assert enqueue(study, 6).added == 0
    again, first = (
        write_results(_results(each, space), tmp_path / f"{number}.jsonl").read_bytes()
        for number, each in enumerate((study, searched[0]))
    )
    assert again == first
    assert {path.name for path in (tmp_path / "again").glob("point-*")} <= {f"point-00{k}-seed0" for k in (4, 5)}


def test_a_stopped_workers_point_is_the_same_point_again(space: SearchSpace, tmp_path: Path) -> None:
    study = _begun(space, tmp_path, 2)
    job = Search(study, tmp_path / "search")
    trial = study.take()
    assert trial is not None
    point = job.ask(trial)
    study.hand_back(trial)
    other = study.take()
    assert other is not None
    assert job.ask(other) != point
    copy = study.take()
    assert copy is not None
    assert (copy.number, copy.user_attrs["key"]) == (2, "point-000")
    assert job.ask(copy) == point
    study.complete(copy, 0.5, {"diverged": False}, "w")
    assert [each.number for each in finished_points(study)] == [0]


def _told(space: SearchSpace, folder: Path, count: int, seed: int = 0, workers: int = 1) -> list[dict[str, Any]]:
    """Points asked for by real workers' jobs, but scored by a formula: the best rates are 0.01 and 0.1."""
    settings = SearchSettings(SETTINGS.share, documents=30, seed=seed)
    study = _begun(space, folder, count, settings)
    hands = [(study, Search(study, folder / "search"))]
    for _ in range(workers - 1):
        other = create_study(open_storage(f"sqlite:///{folder}/studies.db"), "s", space.updates)
        hands.append((other, Search(other, folder / "search")))
    points = []
    for _ in range(count // workers):
        # All take before one tells.
        taken = [(each, job, each.take()) for each, job in hands]
        asked = [(each, trial, job.ask(trial)) for each, job, trial in taken]
        for each, trial, point in asked:
            each.complete(trial, 1 - _distance(point), {"diverged": False}, "w")
            points.append(point)
    return points


def _distance(point: Mapping[str, Any]) -> float:
    best, name = (0.01, "adam_rate") if point["optimizer"] == "adam" else (0.1, "sgd_rate")
    return abs(math.log10(point[name] / best)) / 3 + (0.3 if point["optimizer"] == "sgd" else 0)


def test_one_workers_points_are_those_of_optunas_own_loop(space: SearchSpace, tmp_path: Path) -> None:
    """Asked in Optuna's way, in memory: every point is drawn knowing all that were finished before it."""
    own = _told(space, tmp_path / "own", 13)
    study = optuna.create_study(direction="maximize")
    for number, point in enumerate(own):
        study.sampler = sampler(0, number)
        trial = study.ask()
        assert space.ask(trial) == point
        study.tell(trial, 1 - _distance(point))
    assert own[0] != _told(space, tmp_path / "other", 1, seed=1)[0]


def test_workers_never_ask_for_the_same_point(space: SearchSpace, tmp_path: Path) -> None:
    points = _told(space, tmp_path / "two", 12, workers=2)
    assert len({json.dumps(point) for point in points}) == 12
    # Before anything is learnt a point depends on its number alone.
    assert points[:4] == _told(space, tmp_path / "one", 4)


def test_a_dead_workers_score_is_not_counted_beside_its_copys() -> None:
    """0.1 (twice, were the dead one counted), 0.9, 0.5: of three only the best goes on, of four the better two."""
    study = optuna.create_study(direction="maximize", pruner=pruner(UPDATES))

    def reports(score: float) -> optuna.Trial:
        trial = study.ask()
        trial.report(score, 10)
        assert trial.should_prune() == (score == 0.5)
        return trial

    dead = reports(0.1)
    study.tell(dead, state=TrialState.FAIL)
    RetryDeadWorkersTrial(None)(study, study.trials[0])
    copy = study.ask()
    copy.report(0.1, 10)
    assert not copy.should_prune()
    reports(0.9)
    reports(0.5)


def test_what_a_study_was_begun_with_must_stay(space: SearchSpace, space_file: Path, tmp_path: Path) -> None:
    study = _begun(space, tmp_path, 1)
    assert is_search(study)
    begin(study, space, SETTINGS, tmp_path / "begun")
    with pytest.raises(UserError, match=r"begun with --share 0\.15"):
        begin(study, space, SearchSettings(0.5, documents=30), tmp_path / "begun")
    changed = tmp_path / "search.yml"
    changed.write_text(SPACE.replace("5e-2", "6e-2").replace("base: small", "# a remark\nbase: small"), encoding="utf8")
    base = space_file.with_name("small.cfg")
    with pytest.raises(UserError, match=r"another space than .*\(adam_rate differ\)"):
        begin(study, load_space(changed, UPDATES, base), SETTINGS, tmp_path / "begun")
    changed.write_text("# a remark\n" + SPACE, encoding="utf8")
    begin(study, load_space(changed, UPDATES, base), SETTINGS, tmp_path / "begun")
    other = Config().from_disk(base, interpolate=False)
    other["components"]["ner"]["model"]["hidden_width"] = 8
    other.to_disk(tmp_path / "small.cfg")
    with pytest.raises(UserError, match=r"another corpus, small\.cfg or package versions"):
        begin(study, load_space(space_file, UPDATES, tmp_path / "small.cfg"), SETTINGS, tmp_path / "begun")
    ablation = create_study(open_storage(f"sqlite:///{tmp_path}/studies.db"), "ablation", UPDATES)
    ablation.enqueue([Planned("base", 0, "key", "")])
    with pytest.raises(UserError, match="`search` did not plan"):
        begin(ablation, space, SETTINGS, tmp_path / "begun")
    assert not is_search(ablation)


def test_a_worker_with_another_corpus_takes_nothing(space: SearchSpace, tmp_path: Path) -> None:
    study = _begun(space, tmp_path, 1)
    begun = study.optuna.user_attrs["search"]
    # The same file names on another machine, with other documents behind them: here, the dev split's.
    there = begun["base_text"].replace("train.spacy", "dev.spacy")
    assert there != begun["base_text"]
    study.optuna.set_user_attr("search", {**begun, "base_text": there})
    job, same = search_job(study, tmp_path / "there")
    assert run_worker(study, job, same) == 0
    assert same.refused == {0}
    assert study.counts().waiting == 1


def test_a_trial_that_search_did_not_queue_fails_with_a_reason(space: SearchSpace, tmp_path: Path) -> None:
    study = _begun(space, tmp_path, 0)
    study.enqueue([Planned("base", 0, "abc", "")])
    run_worker(study, *search_job(study, tmp_path / "search"))
    (trial,) = study.trials(TrialState.FAIL)
    assert "no point of a search" in trial.user_attrs["reason"]


# -- what came of it -------------------------------------------------------------------------------


def test_an_edge_is_the_outer_twentieth_of_the_range() -> None:
    rate = Parameter("rate", "float", 1e-5, 1e-1, log=True)
    # A twentieth of four powers of ten is a fifth of one: up to 1.58e-5, from 6.31e-2.
    assert [rate.edge(value) for value in (1e-5, 1.5e-5, 1.7e-5, 5e-2, 6.4e-2, 0.1)] == [
        "lower", "lower", None, None, "upper", "upper",
    ]  # fmt: skip
    drop = Parameter("drop", "float", 0.0, 0.6)
    assert [drop.edge(value) for value in (0.0, 0.029, 0.031, 0.569, 0.571)] == ["lower", "lower", None, None, "upper"]
    assert Parameter("depth", "int", 2, 4).edge(4) == "upper"
    choice = Parameter("optimizer", "categorical", choices=("adam", "sgd"))
    assert choice.edge("adam") is None
    point = Point(3, COMPLETE, 0.9, {"rate": 0.0999, "optimizer": "adam"}, [])
    (line,) = edges([rate, drop, choice], point)
    assert line.startswith("rate = 0.0999 lies at the upper edge of its range, 1e-05 to 0.1: what is higher")


def _formula_points(count: int = 60) -> tuple[list[Parameter], list[Point]]:
    """Only the rate and, under sgd, momentum decide; noise does not; every third point is given up."""
    parameters = [
        Parameter("optimizer", "categorical", choices=("adam", "sgd")),
        Parameter("rate", "float", 1e-5, 1e-2, log=True),
        Parameter("momentum", "float", 0.0, 1.0, when={"optimizer": ("sgd",)}),
        Parameter("noise", "int", 0, 1000),
    ]
    draws = Draws(1)
    points = []
    for number in range(count):
        values: dict[str, Any] = {}
        for parameter in parameters:
            if parameter.applies(values):
                values[parameter.name] = parameter.ask(draws)
        score = 1 - abs(math.log10(values["rate"]) + 3.5) / 2 - 0.1 * values.get("momentum", 0.0)
        state = PRUNED if number % 3 == 2 and score < 0.9 else COMPLETE
        points.append(Point(number, state, round(score, 6), values, [(0, 0.0), (30, round(score, 6))]))
    return parameters, points


def test_importance_finds_what_decides_and_not_what_does_not() -> None:
    parameters, points = _formula_points()
    found = {each.name: each for each in importance(parameters, points)}
    assert next(iter(found)) == "rate"
    assert found["rate"].is_beyond_chance
    assert not found["noise"].is_beyond_chance
    # What is given up counts as not among the best, whatever its score was then.
    higher = [point._replace(score=point.score + 1.5) if point.state == PRUNED else point for point in points]
    assert {each.name: each.value for each in importance(parameters, higher, shuffles=1)} == {
        name: each.value for name, each in found.items()
    }
    assert importance(parameters, points, shuffles=3) == importance(parameters, points, shuffles=3)
    assert importance(parameters, points[:7]) == []
    assert importance(parameters, [point._replace(score=0.0, state=COMPLETE) for point in points]) == []


def test_importance_of_a_choice_by_hand() -> None:
    """20 points, the best 5 (a quarter) all with `a`, as 8 of the 20.

    Each choice that occurs is a kernel of its own, one more is the prior, even over both choices; with K kernels a
    choice's own has 1 + 1/K of 1 + 2/K at its choice:

        D = sum over choices of p_all (p_best / p_all - 1)^2, times the share of the best, squared
    """
    parameter = Parameter("letter", "categorical", choices=("a", "b"))
    points = [Point(k, COMPLETE, 1 - k / 100, {"letter": "a" if k < 5 or k >= 17 else "b"}, []) for k in range(20)]
    (found,) = importance([parameter], points, shuffles=5)
    of_three, of_two = (1 + 1 / 3) / (1 + 2 / 3), (1 + 1 / 2) / (1 + 2 / 2)
    p_all = (8 * of_three + 12 * (1 - of_three) + 0.5) / 21
    p_best = (5 * of_two + 0.5) / 6
    divergence = (p_best - p_all) ** 2 / p_all + (p_all - p_best) ** 2 / (1 - p_all)
    assert found.value == pytest.approx(divergence * 0.25**2, rel=1e-9)


def test_the_export_can_be_read_back_and_says_no_times(searched: tuple[RunStudy, Path], space: SearchSpace, tmp_path: Path) -> None:  # fmt: skip
    results = _results(searched[0], space)
    path = write_results(results, tmp_path / "search.jsonl")
    again = read_results(path)
    assert write_results(again, tmp_path / "again.jsonl").read_bytes() == path.read_bytes()
    assert [(point.number, point.state, point.values) for point in again.points] == [
        (point.number, point.state, point.values) for point in results.points
    ]
    assert list(again.parameters) == list(space.parameters)
    assert (
        again.best(3)
        == sorted((point for point in again.points if point.state == COMPLETE), key=lambda point: -point.score)[:3]
    )
    assert not any(word in path.read_text() for word in ("time", "seconds", "worker", "datetime"))
    path.write_text('{"kind": "study"}\n')
    with pytest.raises(UserError, match=r"search\.jsonl:1: not the first line of an exported search"):
        read_results(path)


def test_the_best_config_is_the_best_points_on_all_documents(
    searched: tuple[RunStudy, Path], space: SearchSpace, tmp_path: Path
) -> None:
    """Without variables it is the config that was trained, and on the search's documents it reaches the same score."""
    study, folder = searched
    best = _results(study, space).best()[0]
    space.ready_config(best.values, 0).to_disk(tmp_path / "best.cfg")
    text = (tmp_path / "best.cfg").read_text()
    assert "path = ${paths.train}" in text
    assert "seed = ${system.seed}" in text
    ready = load_config(tmp_path / "best.cfg", interpolate=True)
    assert ready == space.config(best.values, 0)
    documents = write_documents(space, SETTINGS, tmp_path)
    paths = {f"paths.{split}": str(path) for split, path in documents.paths.items()}
    result = run_config(
        load_config(tmp_path / "best.cfg", overrides=paths, interpolate=True),
        name="best",
        seed=0,
        folder=tmp_path / "run",
    )
    stored = json.loads((folder / "search" / f"point-{best.number:03}-seed0" / "result.json").read_text())
    assert (result.key, result.final_f) == (stored["key"], stored["final_f"]) == (stored["key"], best.score)


# -- pictures --------------------------------------------------------------------------------------


def test_pictures_show_what_was_exported(tmp_path: Path) -> None:
    parameters, points = _formula_points(12)
    points[4] = points[4]._replace(diverged=True, state=COMPLETE, score=0.0)
    found = [Importance("rate", 0.02, 0.01), Importance("momentum", 0.01, 0.015), Importance("noise", 0.001, 0.01)]
    results = SearchResults("s", UPDATES, {}, parameters, points, found)
    history = search_history.data(results)
    complete = [point for point in points if point.state == COMPLETE]
    assert history.complete.tolist() == [point.number for point in complete]
    assert history.best_so_far.tolist() == [max(p.score for p in complete[: k + 1]) for k in range(len(complete))]
    assert history.pruned.tolist() == [point.number for point in points if point.state == PRUNED]
    assert history.pruned_at.tolist() == [30] * len(history.pruned)
    assert history.complete[history.diverged].tolist() == [4]

    slices = {each.parameter.name: each for each in search_slices.data(results)}
    sgd = [point for point in points if point.values["optimizer"] == "sgd"]
    assert 0 < len(sgd) < 12
    assert slices["momentum"].value.tolist() == [point.values["momentum"] for point in sgd]
    assert slices["momentum"].score.tolist() == [point.score for point in sgd]
    assert slices["optimizer"].value.tolist() == [float(point.values["optimizer"] == "sgd") for point in points]
    best = results.best()[0]
    assert points[slices["rate"].best] == best  # type: ignore[index]
    assert (slices["momentum"].best is None) == ("momentum" not in best.values)

    bars = search_importance.data(results)
    assert bars.names == ["rate", "momentum\n(optimizer: sgd)", "noise"]
    assert bars.value.tolist() == [0.02, 0.01, 0.001]
    assert condition(parameters[2]) == "optimizer: sgd"

    figure = search_slices.figure(list(slices.values()))
    assert isinstance(figure, Figure)
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes}
    assert list(panels) == ["optimizer", "rate", "momentum", "noise"]
    assert panels["rate"].get_xscale() == "log"
    assert panels["momentum"].get_xlabel() == "only with optimizer: sgd"
    # Given up, trained to the end, the best.
    assert [len(line.get_xdata()) for line in panels["rate"].lines] == [12 - len(complete), len(complete), 1]


def test_pictures_of_an_empty_and_of_a_small_search() -> None:
    parameters, points = _formula_points(2)
    for some in ([], points[:1]):
        results = SearchResults("s", UPDATES, {}, parameters, some)
        search_history.draw(search_history.data(results))
        search_importance.draw(search_importance.data(results))
        figure = search_slices.figure(search_slices.data(results))
        assert len(figure.axes) == (len(some[0].values) if some else 0)


# -- the commands ----------------------------------------------------------------------------------


def _command(module: str, *arguments: object) -> subprocess.CompletedProcess:
    """In a process of its own, because these listen to signals."""
    return subprocess.run(
        [sys.executable, "-m", f"scripts.{module}", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_search_by_a_worker_ends_with_a_config_that_spacy_trains(space_file: Path, tmp_path: Path) -> None:
    common = ["--study", "s", "--storage", f"sqlite:///{tmp_path}/studies.db", "--folder", tmp_path / "training"]
    search = [
        *common, "--space", space_file, "--updates", UPDATES, "--share", 0.15, "--documents", 30,
        "--export", tmp_path / "s.jsonl", "--plots", tmp_path / "plots",
    ]  # fmt: skip
    filled = run_script("search", *search, "--trials", 1, "--workers", 0)
    assert filled.returncode == 0, filled.stderr
    assert "trains on 60 documents, judges on 30 of the 340 documents that are left" in filled.stdout
    assert "1 points of 30 updates: 0 finished already, 0 running, 0 waiting, 1 added" in filled.stdout
    assert not (tmp_path / "s.jsonl").exists()

    done = _command("search", *search, "--trials", 2, "--workers", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 finished already, 0 running, 1 waiting, 1 added" in done.stdout
    assert "point-000 seed 0: F " in done.stdout
    assert "The best points" in done.stdout
    assert "importance: needs 8 points" in done.stdout
    results = read_results(tmp_path / "s.jsonl")
    assert [point.number for point in results.points] == [0, 1]
    best = results.best()[0]
    assert f"point {best.number}" in done.stdout
    for line in edges(results.parameters, best):
        assert f"warning: {line}" in done.stdout
    names = {f"{name}.{suffix}" for name in ("history", "importance", "slices") for suffix in ("svg", "png")}
    assert {path.name for path in (tmp_path / "plots").iterdir()} == names
    for path in (tmp_path / "s.jsonl", tmp_path / "training" / "best.cfg", tmp_path / "plots" / "slices.png"):
        assert f"wrote {path}" in done.stdout

    from spacy.cli.train import train

    short = {"training.max_steps": 4, "training.eval_frequency": 2}
    train(tmp_path / "training" / "best.cfg", tmp_path / "model", overrides=short)
    trained = load_config(tmp_path / "model" / "model-last" / "config.cfg")
    assert trained["training"]["optimizer"]["grad_clip"] == best.values["clip"]
