"""Recording a spaCy training run, hung on `[training.before_update]`.

The hooks of `trajet.training.hooks` pass a `Measurer` for the optimizer to each component's `finish_update` and see
losses and scores. Nothing of it is saved with the pipeline, and neither the optimizer nor the random
state is touched: the trained bytes are those of a run without the trace.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.training import Example
from thinc.api import Optimizer

from trajet.trace.follow import FOLLOW_EVERY, FollowedSentences
from trajet.trace.format import short_number
from trajet.trace.held_out import HeldLosses
from trajet.trace.measure import Measurer
from trajet.trace.parameters import Parameter, Watch, name_parameters, parse_watches
from trajet.trace.unchanged import random_states_kept
from trajet.trace.writer import TraceWriter, check_settings, scheduled_values
from trajet.training.hooks import Hook, Hooks, hooks_of, trained_components

# Sentences whose predictions are kept at each evaluation.
_SHOWN_SENTENCES = 4


class OptimizerTrace:
    """The callback `trajet.OptimizerTrace.v1`.

    Args:
        path: file to write, JSON Lines; an older one is replaced when the run starts.
        every: write every n-th step.
        level: "steps" (totals), "tensors" (a number a parameter), "full" (moments and directions too).
        watch: single weights, `tok2vec/maxout-2/W[5,0,17]`, or rows, `tok2vec/maxout-2/W[5,0,:]`.
        losses_on: at each evaluation, loss per token on so many fixed train and dev documents; 0 is off.
        follow: sentences with marked spans; every 25th step, the probability of the right moves on them.

    Raises:
        UserError: a setting is out of range; at the first step, an unwritable path or an unknown watch.
    """

    def __init__(self, path: str | Path = "trace.jsonl", every: int = 1, level: str = "tensors",
                 watch: list[str] | None = None, losses_on: int = 0, follow: list[str] | None = None):  # fmt: skip
        check_settings(path, every, level, losses_on)
        self.path, self.every, self.level, self.losses_on = Path(path), every, level, losses_on
        self.watch, self.follow = list(watch or []), list(follow or [])
        self._run: _Run | None = None

    def __call__(self, nlp: Language, info: dict[str, Any]) -> None:
        """Called by spaCy before each update with {"step", "epoch"}."""
        with hooks_of(nlp, info["step"]) as hooks:
            if self._run is None or self._run.hooks is not hooks:
                if self._run is not None:
                    self._run.hooks.remove()
                self._run = _Run(self, hooks)
                hooks.join(self._run)
        self._run.begin_step(info["step"], info["epoch"])


class _Run(Hook):
    """One training run under trace."""

    observes = True

    def __init__(self, settings: OptimizerTrace, hooks: Hooks):
        nlp = hooks.nlp
        self.settings, self.hooks, self.nlp = settings, hooks, nlp
        self.step, self.epoch, self.recording = -1, 0, False
        self.start = time.perf_counter()
        self.losses: dict[str, float] = {}
        self.docs = self.words = 0
        self.finished: set[str] = set()
        self.optimizer: Optimizer | None = None
        self.scheduled: dict[str, float] = {}
        self.learn_rate: float | None = None
        self.parameters: list[Parameter] = []
        self.watches: list[Watch] = []
        self.global_clip_factor: float | None = None
        self.measurer: Measurer | None = None
        with random_states_kept():
            self.held = HeldLosses(nlp, settings.losses_on) if settings.losses_on else None
        self.follow = FollowedSentences(nlp, settings.follow)
        self.followed: list[list[float]] = []
        # A wrong name in `watch` is the user's to hear of before anything is trained or written.
        parse_watches(settings.watch, [p for name in trained_components(nlp) for p in _parameters(nlp, name)])
        self.writer = TraceWriter(settings.path)

    def on_removed(self) -> None:
        """Write what is complete and close the file."""
        self._write_step()
        self.writer.close()

    # -- one step ------------------------------------------------------------------------------

    def begin_step(self, step: int, epoch: int) -> None:
        self._write_step()
        self.step, self.epoch = step, epoch
        self.recording = step % self.settings.every == 0
        self.losses, self.docs, self.words = {}, 0, 0
        self.finished = set()
        self.followed = self.follow.probabilities() if self.recording and step % FOLLOW_EVERY == 0 else []

    def on_update(self, update: Callable, examples: list[Example], **settings: Any) -> dict[str, float]:
        losses = settings["losses"]
        before = dict(losses)
        self.docs += len(examples)
        self.words += sum(len(example) for example in examples)
        result = update(examples, **settings)
        for name, value in losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + float(value) - float(before.get(name, 0.0))
        return result

    def on_finish_update(self, component: str, finish: Callable[[Any], None], optimizer: Optimizer) -> None:
        if self.optimizer is None:
            self._first_update(optimizer)
        if not self.recording:
            finish(optimizer)
        else:
            self.learn_rate = float(optimizer.learn_rate)
            self.scheduled = scheduled_values(optimizer)
            self.global_clip_factor = getattr(optimizer, "gradient_factor", None)
            assert self.measurer is not None
            finish(self.measurer.use(optimizer))
        self.finished.add(component)
        if component == trained_components(self.nlp, self.hooks.exclude)[-1]:
            self._write_step()

    def _first_update(self, optimizer: Optimizer) -> None:
        # Only now is it known which optimizer trains, and which components it trains.
        self.optimizer = optimizer
        self._list_parameters()
        training = self.nlp.config.interpolate().get("training", {})
        settings = {
            "seed": training.get("seed"),
            "pipeline": list(self.nlp.pipe_names),
            "frozen": list(self.hooks.exclude),
            "config": {"optimizer": training.get("optimizer")},
            **{name: getattr(self.settings, name) for name in ("every", "level", "watch", "losses_on")},
            "follow": self.follow.describe(),
        }
        self.writer.write_header(optimizer, self.parameters, settings)

    def _list_parameters(self) -> None:
        assert self.optimizer is not None
        self.parameters = [
            p for name in trained_components(self.nlp, self.hooks.exclude) for p in _parameters(self.nlp, name)
        ]
        known = {parameter.name for parameter in self.parameters}
        self.watches = parse_watches(
            [t for t in self.settings.watch if t.split("[")[0].strip() in known], self.parameters
        )
        self.measurer = Measurer(self.optimizer, self.parameters, self.settings.level, self.watches)

    def _write_step(self) -> None:
        """Write the row of a step whose updates are done; nothing to do otherwise."""
        if not self.finished:
            return
        self.finished = set()
        if not self.recording:
            return
        assert self.measurer is not None
        row = {
            "step": self.step,
            "epoch": self.epoch,
            "learn_rate": self.learn_rate,
            "scheduled": self.scheduled,
            "losses": self.losses,
            "docs": self.docs,
            "words": self.words,
            "seconds": round(time.perf_counter() - self.start, 3),
        }
        if self.global_clip_factor is not None:
            row["global_clip_factor"] = self.global_clip_factor
        if self.followed:
            row["followed"] = self.followed
        self.writer.write_step(row, self.measurer.take(), self.settings.level)
        if self.measurer.reshaped:
            # A label added in mid-run gives a layer another shape; the next rows follow a new list.
            self._list_parameters()
            self.writer.write({
                "kind": "parameters", "from_step": self.step + 1, "parameters": [p.describe() for p in self.parameters],
            })  # fmt: skip

    # -- evaluation ----------------------------------------------------------------------------

    def on_evaluated(self, examples: list[Example], scores: dict[str, Any]) -> None:
        self._write_step()
        began = time.perf_counter()
        # Even a prediction may draw: spacy-transformers decides by chance when to empty a cache.
        with random_states_kept():
            losses = self._held_losses(examples)
            predictions = _predictions(self.nlp, examples[:_SHOWN_SENTENCES])
        row = {
            "kind": "evaluation",
            "step": self.step,
            "epoch": self.epoch,
            "scores": scores,
            "loss_per_token": losses,
            "predictions": predictions,
            "peak_memory_bytes": _peak_memory(),
        }
        row["seconds"] = round(time.perf_counter() - self.start, 3)
        row["trace_seconds"] = round(time.perf_counter() - began, 3)
        self.writer.write(row)

    def _held_losses(self, dev: list[Example]) -> dict[str, dict[str, float]] | None:
        if self.held is None:
            return None
        return self.held.measure(dev, self.hooks.exclude, self.hooks.annotates, self.hooks.update)


def _parameters(nlp: Language, component: str) -> list[Parameter]:
    return name_parameters(component, nlp.get_pipe(component).model)


def _predictions(nlp: Language, examples: list[Example]) -> list[dict]:
    shown = []
    for doc in nlp.pipe([example.reference.text for example in examples]):
        entry: dict = {"text": doc.text, "ents": [[ent.start_char, ent.end_char, ent.label_] for ent in doc.ents]}
        if doc.cats:
            entry["cats"] = {label: short_number(score) for label, score in doc.cats.items()}
        shown.append(entry)
    return shown


def _peak_memory() -> dict[str, int | None]:
    """Peak resident size of the process, and of the GPU pools where torch or CuPy run on one."""
    peak: dict[str, int | None] = {"process": None}
    try:
        import resource

        # Linux counts kilobytes, macOS bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        peak["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    except ImportError:
        pass
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        peak["torch_cuda"] = int(torch.cuda.max_memory_allocated())
    cupy = sys.modules.get("cupy")
    if cupy is not None and cupy.cuda.is_available():
        peak["cupy_pool"] = int(cupy.get_default_memory_pool().total_bytes())
    return peak
