"""What the trace costs, measured by trainings that take turns in one process, update by update.

Clocks differ from machine to machine and from second to second, so the trainings compared do the same
update one after the other, and only ratios of neighbours are quoted.
"""

import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.training.initialize import init_nlp
from spacy.training.loop import create_evaluation_callback, create_train_batches, train_while_improving
from spacy.util import registry, resolve_dot_names
from thinc.api import Model, Optimizer, fix_random_seed

from trajet.config import load_config
from trajet.schedule import planned_values
from trajet.trace import OptimizerTrace, read_trace
from trajet.trace.measure import Measurer
from trajet.trace.spacy_run import _Run
from trajet.trace.unchanged import random_states_kept

# Documents: enough for the steps, few enough to load quickly.
_DOCS = {"corpora.train.limit": 2000, "corpora.dev.limit": 40}
# The first steps allocate; the clock starts after them.
_WARM_UP = 10


@dataclass(frozen=True)
class Cost:
    """Ratios of user CPU time to the neighbouring run without the trace, and the hook's own share of a step."""

    name: str
    median: float
    low: float
    high: float
    own_share: float


@dataclass(frozen=True)
class Report:
    """Everything `benchmarks` prints but the cost of held losses."""

    batch: int | None
    costs: list[Cost]
    extra_bytes: int
    weight_bytes: int
    bytes_per_step: float
    tensors: int
    read_seconds: float


@dataclass(frozen=True)
class LossesCost:
    """Share of a run's time that held losses take."""

    count: int
    frequency: int
    share: float


def compare(config: Path, steps: int, rounds: int) -> Report:
    """Train without a trace, with every = 1 and with every = 10, by turns; a ratio for each of `rounds` stretches.

    The three start alike and see the same batches. Where batches grow, all are as large as they are in
    the middle of the config's run.

    Args:
        config: what to train.
        steps: updates a stretch.
        rounds: stretches.
    """
    overrides = _middle_batch(config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.jsonl"
        traces = {"none": None, "every = 1": OptimizerTrace(path, every=1),
                  "every = 10": OptimizerTrace(Path(folder) / "tenth.jsonl", every=10)}  # fmt: skip
        names = list(traces)
        total = _WARM_UP + steps * rounds
        trainings = {name: _Training(config, total, trace, overrides) for name, trace in traces.items()}
        ratios: dict[str, list[float]] = {name: [] for name in names[1:]}
        spent = dict.fromkeys(names, 0.0)
        for step in range(total):
            turn = step % len(names)
            for name in names[turn:] + names[:turn]:
                seconds = trainings[name].advance()
                spent[name] += seconds if step >= _WARM_UP else 0.0
            if step >= _WARM_UP and (step + 1 - _WARM_UP) % steps == 0:
                for name in ratios:
                    ratios[name].append(spent[name] / spent["none"])
                spent = dict.fromkeys(names, 0.0)
        extra = _kept_bytes(traces["every = 1"])
        weights = _weight_bytes(trainings["none"].nlp)
        bytes_per_step = path.stat().st_size / total
        tensors = len(read_trace(path).parameters)
        read_seconds = _read_seconds(path, Path(folder) / "long.jsonl")
        shares = {name: _own_share(config, steps, trace, overrides) for name, trace in traces.items() if trace}
    costs = [Cost(name, median(r), min(r), max(r), shares[name]) for name, r in ratios.items()]
    return Report(overrides.get("training.batcher.size"), costs, extra, weights, bytes_per_step, tensors, read_seconds)


def losses_cost(config: Path) -> LossesCost:
    """Time that losses on held documents take, as a share of a run that evaluates as often as `config` does."""
    settings = load_config(config)["training"]
    frequency, count = int(settings["eval_frequency"]), int(settings["before_update"].get("losses_on", 0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.jsonl"
        overrides = {"training.eval_frequency": frequency, **_middle_batch(config)}
        training = _Training(config, frequency, OptimizerTrace(path, losses_on=count), overrides, limits={})
        for _ in range(frequency + 1):
            training.advance()
        trace = read_trace(path)
        spent = trace.evaluations["trace_seconds"].iloc[-1]
        total = trace.evaluations["seconds"].iloc[-1] - trace.evaluations["seconds"].iloc[0]
    return LossesCost(count, frequency, float(spent / total))


def _middle_batch(config: Path) -> dict[str, int]:
    """The override that fixes a growing batch at its size in the middle of the config's run."""
    training = load_config(config)["training"]
    size = training["batcher"].get("size")
    if not isinstance(size, dict):
        return {}
    words = planned_values(size, "training.batcher.size", training["max_steps"] // 2 + 1)[-1]
    return {"training.batcher.size": int(words)}


class _Training:
    """A training that is advanced one update at a time, with random states of its own."""

    def __init__(self, config: Path, steps: int, trace: OptimizerTrace | None, overrides: dict | None = None,
                 limits: dict | None = None):  # fmt: skip
        settings = {
            "training.max_steps": steps,
            "training.patience": 0,
            "training.eval_frequency": steps * 10,
            **(_DOCS if limits is None else limits),
            **(overrides or {}),
        }
        loaded = load_config(config, settings)
        with random_states_kept():
            self.nlp = init_nlp(loaded)
            resolved = self.nlp.config.interpolate()
            training = registry.resolve(resolved["training"], schema=ConfigSchemaTraining)
            corpora = resolve_dot_names(resolved, [training["train_corpus"], training["dev_corpus"]])
            fix_random_seed(training["seed"] or 0)
            self._states = random.getstate(), np.random.get_state()  # noqa: NPY002
        self._updates = train_while_improving(
            self.nlp,
            training["optimizer"],
            create_train_batches(self.nlp, corpora[0], training["batcher"], training["max_epochs"]),
            create_evaluation_callback(self.nlp, corpora[1], training["score_weights"]),
            dropout=training["dropout"],
            accumulate_gradient=training["accumulate_gradient"],
            patience=training["patience"],
            max_steps=training["max_steps"],
            eval_frequency=training["eval_frequency"],
            exclude=training["frozen_components"],
            annotating_components=training["annotating_components"],
            before_update=trace,
        )

    def advance(self) -> float:
        """Make the next update; user CPU seconds that it took."""
        with random_states_kept():
            random.setstate(self._states[0])
            np.random.set_state(self._states[1])  # noqa: NPY002
            start = resource.getrusage(resource.RUSAGE_SELF).ru_utime
            next(self._updates)
            seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - start
            self._states = random.getstate(), np.random.get_state()  # noqa: NPY002
        return seconds


def _own_share(config: Path, steps: int, trace: OptimizerTrace, overrides: dict) -> float:
    """Seconds spent in the trace's own code as a share of the updates' seconds."""
    training = _Training(config, steps + _WARM_UP, trace, overrides)
    for _ in range(_WARM_UP):
        training.advance()
    with _stopwatch() as own:
        start = time.perf_counter()
        for _ in range(steps):
            training.advance()
        return own[0] / (time.perf_counter() - start)


@contextmanager
def _stopwatch() -> Iterator[list[float]]:
    """Seconds spent in the trace's hooks, without the updates that run inside them."""
    own = [0.0]
    measuring = [0]

    def timed(owner: type, name: str, sign: float) -> Callable[[], None]:
        original = getattr(owner, name)

        def wrapper(*args, **kwargs):
            # Outside the measurer the optimizer's time is part of finish_update's, which is taken off whole.
            counts = owner is not Optimizer or measuring[0]
            measuring[0] += owner is Measurer
            start = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                own[0] += sign * (time.perf_counter() - start) if counts else 0.0
                measuring[0] -= owner is Measurer

        setattr(owner, name, wrapper)
        return lambda: setattr(owner, name, original)

    added = ((_Run, "begin_step"), (_Run, "on_update"), (_Run, "on_finish_update"), (Measurer, "__call__"))
    taken_off = ((Language, "update"), (Model, "finish_update"), (Optimizer, "__call__"))
    undo = [timed(*place, 1) for place in added] + [timed(*place, -1) for place in taken_off]
    try:
        yield own
    finally:
        for restore in reversed(undo):
            restore()


def _kept_bytes(trace: OptimizerTrace) -> int:
    measurer = trace._run.measurer  # type: ignore[union-attr]
    return sum(array.nbytes for store in (measurer._scratch, measurer._previous) for array in store.values())


def _weight_bytes(nlp: Language) -> int:
    nodes = {id(node): node for _, pipe in nlp.pipeline if hasattr(pipe, "model") for node in pipe.model.walk()}
    return sum(
        node.get_param(name).nbytes for node in nodes.values() for name in node.param_names if node.has_param(name)
    )


def _read_seconds(path: Path, long: Path, steps: int = 20_000) -> float:
    """Seconds to read a trace whose step rows are repeated until there are `steps`."""
    lines = path.read_text(encoding="utf8").splitlines()
    rows = [line for line in lines[1:] if '"kind":"step"' in line[:20]]
    long.write_text("\n".join([lines[0], *(rows[i % len(rows)] for i in range(steps))]) + "\n", encoding="utf8")
    start = time.perf_counter()
    read_trace(long)
    return time.perf_counter() - start
