"""Recording a bare Thinc loop, without spaCy's training."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from thinc.api import Model, Optimizer

from trajet.trace.measure import Measurer
from trajet.trace.parameters import name_parameters, parse_watches
from trajet.trace.writer import TraceWriter, check_settings, scheduled_values


@contextmanager
def trace_updates(
    model: Model,
    path: str | Path = "trace.jsonl",
    *,
    every: int = 1,
    level: str = "tensors",
    watch: list[str] | None = None,
    name: str = "model",
) -> Iterator[Callable[..., None]]:
    """Record the updates of a Thinc model.

        with trace_updates(model, "trace.jsonl") as update:
            for X, Y in batches:
                Yh, backprop = model.begin_update(X)
                backprop(Yh - Y)
                update(optimizer, losses={"mse": ((Yh - Y) ** 2).sum()}, docs=len(X))

    `update` calls `model.finish_update(optimizer)`, writes the row, and steps the optimizer's schedules:
    in a bare loop nobody else does, and a warm-up would stay at rate 0 for ever.

    Args:
        model: initialised Thinc model.
        name: stands for the component in parameter names (`model/linear-0/W`).
        every, level, watch: as in OptimizerTrace.

    Raises:
        UserError: a bad setting, an unwritable path, an unknown watch.
    """
    check_settings(path, every, level)
    parameters = name_parameters(name, model)
    watches = parse_watches(watch or [], parameters)
    writer = TraceWriter(path)
    start = time.perf_counter()
    measurer: Measurer | None = None
    step = -1

    def update(optimizer: Optimizer, *, losses: dict[str, float] | None = None, docs: int | None = None,
               words: int | None = None, epoch: int = 0) -> None:  # fmt: skip
        nonlocal measurer, step
        step += 1
        if measurer is None:
            measurer = Measurer(optimizer, parameters, level, watches)
            settings = {"seed": None, "every": every, "level": level, "watch": list(watch or []), "losses_on": 0}
            writer.write_header(optimizer, parameters, settings)
        row = {
            "step": step,
            "epoch": epoch,
            "learn_rate": float(optimizer.learn_rate),
            "scheduled": scheduled_values(optimizer),
        }
        if step % every:
            model.finish_update(optimizer)
        else:
            model.finish_update(measurer.use(optimizer))
            row |= {
                "losses": losses or {},
                "docs": docs,
                "words": words,
                "seconds": round(time.perf_counter() - start, 3),
            }
            writer.write_step(row, measurer.take(), level)
        optimizer.step_schedules()

    try:
        yield update
    finally:
        writer.close()
