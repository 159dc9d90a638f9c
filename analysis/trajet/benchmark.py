"""What the trace costs, measured by trainings that take turns in one process.

Clocks differ from machine to machine and from minute to minute; only ratios of neighbours are quoted.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import median

from spacy.language import Language
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import registry
from thinc.api import Model, Optimizer

from trajet.config import load_config
from trajet.schedule import planned_values
from trajet.trace import OptimizerTrace, read_trace
from trajet.trace.measure import Measurer
from trajet.trace.spacy_run import _Run

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
    """Train `rounds` times without a trace, with every = 1 and with every = 10, in turning order.

    Where batches grow, all are as large as they are in the middle of the config's run.
    """
    overrides = _middle_batch(config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.jsonl"
        kinds: dict[str, Callable[[], OptimizerTrace] | None] = {
            "none": None,
            "every = 1": lambda: OptimizerTrace(path, every=1),
            "every = 10": lambda: OptimizerTrace(path, every=10),
        }
        ratios: dict[str, list[float]] = {name: [] for name in kinds}
        names = list(kinds)
        for turn in range(rounds):
            seconds = {}
            for name in names[turn % 3 :] + names[: turn % 3]:
                make = kinds[name]
                seconds[name] = _train(config, steps, make() if make else None, overrides)[0]
            for name in names[1:]:
                ratios[name].append(seconds[name] / seconds["none"])
        shares, extra, weights = {}, 0, 0
        for name in names[1:]:
            trace = kinds[name]()  # type: ignore[misc]
            with _stopwatch() as own:
                _, total, nlp = _train(config, steps, trace, overrides)
            shares[name] = own[0] / total
            if name == "every = 1":
                extra, weights = _kept_bytes(trace), _weight_bytes(nlp)
                bytes_per_step = path.stat().st_size / (steps + 1)
                tensors = len(read_trace(path).parameters)
                read_seconds = _read_seconds(path, Path(folder) / "long.jsonl")
        costs = [Cost(name, median(r), min(r), max(r), shares[name]) for name, r in ratios.items() if r]
        return Report(
            overrides.get("training.batcher.size"), costs, extra, weights, bytes_per_step, tensors, read_seconds
        )


def losses_cost(config: Path) -> LossesCost:
    """Time that losses on held documents take, as a share of a run that evaluates as often as `config` does."""
    settings = load_config(config)["training"]
    frequency, count = int(settings["eval_frequency"]), int(settings["before_update"].get("losses_on", 0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.jsonl"
        overrides = {"training.eval_frequency": frequency, **_middle_batch(config)}
        _train(config, frequency, OptimizerTrace(path, losses_on=count), overrides, limits={})
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


class _Clock:
    """A before_update callback that reads the clocks, then calls the trace, if there is one."""

    def __init__(self, trace: OptimizerTrace | None):
        self.trace, self.user, self.wall = trace, 0.0, 0.0

    def __call__(self, nlp: Language, info: dict) -> None:
        if info["step"] == _WARM_UP:
            self.user, self.wall = os.times().user, time.perf_counter()
        if self.trace is not None:
            self.trace(nlp, info)


def _train(config: Path, steps: int, trace: OptimizerTrace | None, overrides: dict | None = None,
           limits: dict | None = None) -> tuple[float, float, Language]:  # fmt: skip
    """(user CPU seconds, wall seconds, pipeline) of the steps after the warm-up."""
    clock = _Clock(trace)
    registry.callbacks("trajet.benchmark_clock", func=lambda: clock)
    settings = {
        "training.before_update": {"@callbacks": "trajet.benchmark_clock"},
        "training.max_steps": steps,
        "training.eval_frequency": steps * 10,
        "training.logger": {"@loggers": "trajet.silent"},
        **(_DOCS if limits is None else limits),
        **(overrides or {}),
    }
    registry.loggers("trajet.silent", func=lambda: lambda nlp, stdout, stderr: (lambda info: None, lambda: None))
    random.seed(0)
    nlp = init_nlp(load_config(config, settings))
    train(nlp, None, stdout=StringIO(), stderr=StringIO())
    return os.times().user - clock.user, time.perf_counter() - clock.wall, nlp


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

    added = ((_Run, "begin_step"), (_Run, "_on_update"), (_Run, "_on_finish_update"), (Measurer, "__call__"))
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
