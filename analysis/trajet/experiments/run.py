"""One training of an experiment: spaCy's own loop in this process, and what came of it as a Result."""

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from catalogue import RegistryError
from confection import ConfigValidationError
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.scorer import Scorer
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import create_evaluation_callback, create_train_batches, train_while_improving
from spacy.util import registry, resolve_dot_names
from thinc.api import Config, Model, fix_random_seed, get_array_module

from trajet.errors import UserError
from trajet.experiments.key import trial_key, versions
from trajet.experiments.result import Result
from trajet.files import write_atomically, write_json
from trajet.registry import chain
from trajet.trace import OptimizerTrace, Trace, read_trace
from trajet.trace.format import short_number
from trajet.trace.parameters import name_parameters
from trajet.trace.read import read_rows
from trajet.trace.unchanged import random_states_kept
from trajet.training.hooks import TrainingCallback

_TRACE = {"every": 10, "level": "tensors", "losses_on": 256}

Report = Callable[[Mapping[str, Any]], object]


def run_config(config: Config, *, name: str, seed: int, folder: Path, report: Report | None = None) -> Result:
    """Train, and leave config.cfg, trace.jsonl and result.json in `folder`, each written when the run is over.

    The same config and seed give the same Result but for its times. The process's random states are afterwards what
    they were.

    Args:
        config: complete, as `trajet.experiments.variants.resolve` makes it. Its callbacks are kept, a trace joins them.
        name: of the variant.
        seed: takes the place of the config's.
        folder: made if need be; what an earlier run left there is replaced.
        report: called after each evaluation with its entry in Result.evaluations. What it raises ends the training,
            leaves no file and is passed on.

    Raises:
        UserError: the config or the corpus cannot be used, the folder cannot be written to.
    """
    config = Config(config).copy()
    config["system"]["seed"] = config["training"]["seed"] = seed
    key = trial_key(config)
    began = time.process_time()
    # A run that diverges says so in its result; NumPy's warnings on the way there say nothing more.
    quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
    with _output(Path(folder)), tempfile.TemporaryDirectory() as scratch, random_states_kept(), quiet:
        trace_path = Path(scratch) / "trace.jsonl"
        with _mistakes_of_the_config(name):
            training = _Training(config, trace_path, began)
        try:
            with _mistakes_of_the_config(name):
                training.run(report)
        finally:
            training.close()
        result = Result(
            name=name, seed=seed, key=key, evaluations=training.evaluations,
            final_f=training.evaluations[-1]["ents_f"], **_best(training.evaluations), diverged=training.diverged,
            frames=list(training.counts), counts=list(training.counts.values()),
            optimizer=_optimizer_summary(read_trace(trace_path)),
            updates=training.updates, cpu_seconds=training.evaluations[-1]["seconds_cpu"],
            parameters=_parameter_count(training.nlp), versions=versions(config),
        )  # fmt: skip
        _keep(Path(folder), config, trace_path, result)
    return result


class _Training:
    """A training under way."""

    def __init__(self, config: Config, trace_path: Path, began: float):
        self.nlp = init_nlp(config)
        resolved = self.nlp.config.interpolate()
        settings = registry.resolve(resolved["training"], schema=ConfigSchemaTraining)  # type: ignore[arg-type]
        train_corpus, dev_corpus = resolve_dot_names(resolved, [settings["train_corpus"], settings["dev_corpus"]])
        # Read once: an evaluation copies what it predicts on.
        self._dev = list(dev_corpus(self.nlp))
        self.evaluations: list[dict[str, Any]] = []
        self.diverged = False
        self.updates = self._words = 0
        self._began, self._trace_path = began, trace_path
        self._optimizer = settings["optimizer"]
        self._scorer = _CountingScorer(self.nlp)
        evaluate = self.nlp.evaluate
        self.nlp.evaluate = lambda examples: evaluate(examples, scorer=self._scorer)  # type: ignore[method-assign]
        self._evaluate = create_evaluation_callback(self.nlp, lambda nlp: self._dev, settings["score_weights"])
        # Does nothing but know the hooks, to take them off at the end.
        self._hooked = TrainingCallback()
        trace = OptimizerTrace(trace_path, **_TRACE)  # type: ignore[arg-type]
        callbacks = [callback for callback in (settings["before_update"], trace, self._hooked) if callback]
        fix_random_seed(settings["seed"])
        self._steps = train_while_improving(
            self.nlp,
            self._optimizer,
            create_train_batches(self.nlp, train_corpus, settings["batcher"], settings["max_epochs"]),
            self._evaluate,
            dropout=settings["dropout"],
            accumulate_gradient=settings["accumulate_gradient"],
            patience=settings["patience"],
            max_steps=settings["max_steps"],
            eval_frequency=settings["eval_frequency"],
            exclude=settings["frozen_components"],
            annotating_components=settings["annotating_components"],
            before_update=chain(*callbacks),
        )

    @property
    def counts(self) -> dict[str, list[int]]:
        """Frame -> [tp, fp, fn] at the last evaluation."""
        return self._scorer.counts

    def run(self, report: Report | None) -> None:
        """Train to the end, or until a loss or a weight is not finite."""
        for scores in self._evaluated():
            self._record(scores)
            if report is not None:
                report(self.evaluations[-1])

    def close(self) -> None:
        """End the loop, take the hooks off, close the trace."""
        self._steps.close()
        if self._hooked.hooks is not None:
            self._hooked.hooks.remove()

    def _evaluated(self) -> Iterator[dict[str, float]]:
        """Scores of each evaluation, one more where the run diverges between two."""
        while True:
            try:
                _, info, is_best = next(self._steps)
            except StopIteration:
                return
            except Exception:
                # Some step of the loop may refuse what a diverged model gives it.
                if self._is_finite():
                    raise
                self.diverged = True
                self.updates += 1
                yield self._last_scores()
                return
            self.updates, self._words = info["step"] + 1, info["words"]
            evaluated = is_best is not None
            self.diverged = not all(map(math.isfinite, info["losses"].values())) or (
                evaluated and not self._is_finite()
            )
            if evaluated:
                yield info["other_scores"]
            elif self.diverged:
                yield self._last_scores()
            if self.diverged:
                return

    def _last_scores(self) -> dict[str, float]:
        """Scores of a diverged model, zeros if it cannot even predict."""
        averages = self._optimizer.averages
        try:
            with self.nlp.use_params(averages) if averages else nullcontext():
                return self._evaluate()[1]
        except Exception:
            self._scorer.counts = _frame_counts(self._dev)
            return {}

    def _record(self, scores: Mapping[str, Any]) -> None:
        step = self.updates - 1
        losses = _held_losses(self._trace_path, step)
        self.evaluations.append({
            "step": step,
            "seconds_cpu": time.process_time() - self._began,
            # spaCy gives None where nothing is to be found.
            **{name: float(scores.get(name) or 0.0) for name in ("ents_f", "ents_p", "ents_r")},
            "words_seen": self._words,
            "train_loss": losses.get("train"),
            "dev_loss": losses.get("dev"),
        })  # fmt: skip

    def _is_finite(self) -> bool:
        return all(_all_finite(array) for array in _weights(self.nlp))


class _CountingScorer(Scorer):
    """spaCy's scorer, which also keeps [tp, fp, fn] of each frame."""

    def __init__(self, nlp: Language):
        super().__init__(nlp)
        self.counts: dict[str, list[int]] = {}

    def score(self, examples: Iterable[Example], *, per_component: bool = False) -> dict[str, Any]:
        examples = list(examples)
        self.counts = _frame_counts(examples)
        return super().score(examples, per_component=per_component)


def _frame_counts(examples: Iterable[Example]) -> dict[str, list[int]]:
    """Frame -> [tp, fp, fn]; a document that names no frame is a frame by itself."""
    counts: dict[str, list[int]] = {}
    for number, example in enumerate(examples):
        gold, predicted = (
            {(entity.start_char, entity.end_char, entity.label_) for entity in doc.ents}
            for doc in (example.reference, example.predicted)
        )
        row = counts.setdefault(str(example.reference.user_data.get("frame", f"document {number}")), [0, 0, 0])
        for place, found in enumerate((gold & predicted, predicted - gold, gold - predicted)):
            row[place] += len(found)
    return counts


# -- what the trace and the model tell -------------------------------------------------------------


def _held_losses(path: Path, step: int) -> dict[str, float | None]:
    """Loss per token on the train and dev documents at a step, all components together; None if not finite."""
    for _, row in read_rows(path) if path.exists() else ():
        if row and row.get("kind") == "evaluation" and row["step"] == step:
            losses = row.get("loss_per_token") or {}
            totals = {part: sum(map(float, by_component.values())) for part, by_component in losses.items()}
            return {part: short_number(total) if math.isfinite(total) else None for part, total in totals.items()}
    return {}


def _optimizer_summary(trace: Trace) -> dict[str, float | None]:
    """Medians over the recorded steps of the last quarter, see Result."""
    last = trace.steps["step"].max()
    steps = trace.steps[trace.steps["step"] >= 0.75 * last]
    tensors = trace.tensors[trace.tensors["step"].isin(steps["step"])]
    # Over tensors first: one large tensor shall not speak for all.
    ratio = (tensors["update_norm"] / tensors["weight_norm"]).groupby(tensors["step"]).median()
    decay = (tensors["decay_part_norm"] / tensors["gradient_part_norm"]).groupby(tensors["step"]).median()
    return {
        "clipped_share": _median(steps["tensors_clipped"] / steps["tensors_updated"]),
        "update_ratio_median": _median(ratio),
        "grad_norm_median": _median(steps["global_grad_norm"]),
        "decay_to_gradient_median": _median(decay),
    }


def _median(values: Iterable[float]) -> float | None:
    finite = [float(value) for value in values if math.isfinite(value)]
    return median(finite) if finite else None


def _best(evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    best = max(evaluations, key=lambda entry: entry["ents_f"])
    return {"best_f": best["ents_f"], "best_step": best["step"]}


def _weights(nlp: Language) -> Iterator[Any]:
    """Every trained array; torch's as tensors."""
    for _, pipe in nlp.pipeline:
        model = getattr(pipe, "model", None)
        for node in model.walk() if isinstance(model, Model) else ():
            for shim in node.shims:
                module = getattr(shim, "_model", None)
                if hasattr(module, "named_parameters"):
                    yield from (value.detach() for _, value in module.named_parameters())
            yield from (node.get_param(name) for name in node.param_names if node.has_param(name))


def _all_finite(array: Any) -> bool:
    # torch's tensors have the method, arrays of NumPy and CuPy a function.
    return bool(array.isfinite().all() if hasattr(array, "isfinite") else get_array_module(array).isfinite(array).all())


def _parameter_count(nlp: Language) -> int:
    return sum(
        parameter.size
        for name, pipe in nlp.pipeline
        if isinstance(getattr(pipe, "model", None), Model)
        for parameter in name_parameters(name, pipe.model)  # type: ignore[attr-defined]
    )


# -- files and mistakes ----------------------------------------------------------------------------


@contextmanager
def _output(folder: Path) -> Iterator[None]:
    """A folder that can be written to, known before the training begins; not left behind empty."""
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder}: cannot write here ({error.strerror}); choose a folder you may write to") from None
    try:
        yield
    except BaseException:
        if made and not any(folder.iterdir()):
            folder.rmdir()
        raise


def _keep(folder: Path, config: Config, trace: Path, result: Result) -> None:
    # A result says that what lies beside it belongs to it: the old one goes first, the new one comes last.
    (folder / "result.json").unlink(missing_ok=True)
    write_atomically(folder / "config.cfg", config.to_disk)
    write_atomically(folder / "trace.jsonl", lambda temporary: shutil.copyfile(trace, temporary))
    write_json(folder / "result.json", result.to_dict())


@contextmanager
def _mistakes_of_the_config(name: str) -> Iterator[None]:
    """spaCy's refusals of a config as one line."""
    try:
        yield
    except (ConfigValidationError, RegistryError) as error:
        raise UserError(f"{name}: {' '.join(str(error).split())[:300]}") from None
    except SystemExit as error:
        # How a callback leaves `spacy train` with a user's mistake, see trajet.registry.
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise
