"""The learning-rate range test: one short training in which the rate grows from tiny to too large.

The rate of update s of n is

    rate_s = first * (last / first) ** (s / (n - 1))

and nothing else differs from the config's own training but that callbacks of [training.before_update] are left
out. The loss of each batch is followed, and how far its update moves each tensor relative to its length.
Source: Smith 2017, "Cyclical learning rates for training neural networks", section 3.3; the exponential sweep,
the smoothing and the stop are fastai's `lr_find`.
"""

import copy
import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import DEFAULT_CONFIG, Language
from spacy.schemas import ConfigSchemaTraining
from spacy.training.initialize import init_nlp
from spacy.training.loop import create_train_batches, train_while_improving
from spacy.util import load_model_from_config, registry, resolve_dot_names
from thinc.api import Config, Model, fix_random_seed

from trajet.errors import UserError
from trajet.experiments.rates.record import RateRange, Record, Sweep
from trajet.trace.held_out import _is_shared_layer
from trajet.trace.measure import Measurer
from trajet.trace.parameters import name_parameters
from trajet.trace.unchanged import random_states_kept

OPTIMIZER_BLOCK = "training.optimizer"


def range_test(
    config: Config,
    sweep: Sweep | None = None,
    *,
    block: str = OPTIMIZER_BLOCK,
    seed: int | None = None,
    source: str = "config",
) -> RateRange:
    """Initialise the pipeline of a config and sweep the learning rate of its training; nothing is kept of either.

    Args:
        config: of a spaCy training.
        sweep: settings.
        block: the section with the optimizer to sweep.
        seed: in place of [training] seed; 0 where neither is given.
        source: what to call the config in messages.

    Raises:
        UserError: a config without a readable training corpus, with an optimizer without learn_rate, or that cannot be initialised.
    """
    sweep = sweep or Sweep()
    prepared, told = _prepare(config, sweep, block, seed, source)
    with random_states_kept():
        with _told_in_one_line(source):
            nlp = init_nlp(prepared)
        return _sweep(nlp, sweep, told, source)


def range_test_on(
    nlp: Language,
    sweep: Sweep | None = None,
    *,
    block: str = OPTIMIZER_BLOCK,
    seed: int | None = None,
    source: str = "the pipeline",
) -> RateRange:
    """Sweep the learning rate on a copy of a pipeline, from its present weights, with a new optimizer of its config.

    The copy is made as spaCy saves and loads a pipeline. The pipeline itself, any optimizer and the random states are
    afterwards what they were.

    Args and Raises: as `range_test`; the training is that of `nlp.config`.
    """
    sweep = sweep or Sweep()
    prepared, told = _prepare(nlp.config, sweep, block, seed, source)
    with random_states_kept():
        with _told_in_one_line(source):
            twin = load_model_from_config(prepared, disable=nlp.disabled, auto_fill=True)
            twin.from_bytes(nlp.to_bytes())
        # Loading brings the original's config back.
        twin.config = prepared
        return _sweep(twin, sweep, told, source)


def _prepare(config: Config, sweep: Sweep, block: str, seed: int | None, source: str) -> tuple[Config, dict[str, Any]]:
    """The config of the sweep, and what a reader of its result is told of it."""
    if not isinstance(config.get("training"), dict):
        raise UserError(f"{source}: has no [training] section; give the config of a training")
    # What a config leaves out spaCy fills in.
    config = Config(DEFAULT_CONFIG).merge(config).interpolate()
    training = config["training"]
    _check_corpus(config, source)
    optimizer = _swept(_section(config, block, source), sweep.schedule, block, source)
    training["optimizer"] = copy.deepcopy(optimizer)
    if seed is not None or training.get("seed") is None:
        training["seed"] = seed or 0
    left_out = list(_callbacks(training.get("before_update")))
    training["before_update"] = training["before_to_disk"] = None
    # Nothing is logged, and a logger of a package that is not installed is no reason to fail.
    training["logger"] = {"@loggers": "spacy.ConsoleLogger.v1", "progress_bar": False}
    return config, {"optimizer": optimizer, "left_out": left_out}


def _check_corpus(config: Config, source: str) -> None:
    name = config["training"].get("train_corpus")
    if not isinstance(name, str):
        raise UserError(f"{source}: [training] has no train_corpus; name the block of a reader, such as corpora.train")
    path = _section(config, name, source).get("path", "")
    if path is None:
        raise UserError(f"{source}: [{name}] path is empty; give the training documents, such as --paths.train FILE")
    if path and not Path(path).exists():
        raise UserError(f"{source}: [{name}] {path}: no such file; build the corpus or give another path")


def _section(config: Config, name: str, source: str) -> dict[str, Any]:
    value: Any = config
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        raise UserError(f"{source}: has no block [{name}]")
    return value


def _swept(block: dict[str, Any], schedule: dict[str, Any], name: str, source: str) -> dict[str, Any]:
    """The optimizer's block with its learn_rate, or that of the optimizer it wraps, replaced."""
    registered = block.get("@optimizers")
    if not registered:
        raise UserError(f"{source}: [{name}] is no optimizer; it needs a line @optimizers")
    block = copy.deepcopy(block)
    if "learn_rate" in block or "learn_rate" in _arguments(registered):
        return {**block, "learn_rate": schedule}
    for key, value in block.items():
        if isinstance(value, dict) and "@optimizers" in value:
            return {**block, key: _swept(value, schedule, f"{name}.{key}", source)}
    raise UserError(f"{source}: [{name}] {registered} has no learn_rate that could be swept")


def _arguments(registered: str) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(registry.get("optimizers", registered)).parameters)
    except ValueError:  # an unknown name: spaCy's own message, on resolving it, lists those that exist
        return ("learn_rate",)


def _callbacks(block: object) -> Iterator[str]:
    """Names of the callbacks in a block, those in a chain too."""
    if isinstance(block, dict):
        if "@callbacks" in block:
            yield str(block["@callbacks"])
        for value in block.values():
            yield from _callbacks(value)


def _sweep(nlp: Language, sweep: Sweep, told: dict[str, Any], source: str) -> RateRange:
    """Train `nlp`, with spaCy's own loop, until the sweep ends."""
    config = nlp.config.interpolate()
    with _told_in_one_line(source):
        training = registry.resolve(config["training"], schema=ConfigSchemaTraining)
        (corpus,) = resolve_dot_names(config, [training["train_corpus"]])
    frozen = training["frozen_components"]
    trained = {
        name: pipe
        for name, pipe in nlp.pipeline
        if name not in frozen
        and getattr(pipe, "is_trainable", False)
        and isinstance(getattr(pipe, "model", None), Model)
    }
    pipes = {name: pipe for name, pipe in trained.items() if not _is_shared_layer(pipe)}
    if not pipes:
        raise UserError(f"{source}: trains no component that reports a loss; a sweep has nothing to follow")
    parameters = [parameter for name, pipe in trained.items() for parameter in name_parameters(name, pipe.model)]
    measurer = Measurer(training["optimizer"], parameters, "tensors", [])
    fix_random_seed(training["seed"])
    loop = train_while_improving(
        nlp,
        measurer,  # type: ignore[arg-type]  stands in for the optimizer
        # A sweep goes on where a training would have ended; a corpus that is streamed stays so.
        create_train_batches(nlp, corpus, training["batcher"], min(training["max_epochs"], 0)),
        lambda: (0.0, {}),
        dropout=training["dropout"],
        # The loop empties its losses at each evaluation.
        eval_frequency=1,
        accumulate_gradient=training["accumulate_gradient"],
        patience=0,
        max_steps=0,
        exclude=frozen,
        annotating_components=training["annotating_components"],
        before_update=None,
    )
    record = Record(sweep, pipes, training["accumulate_gradient"])
    with np.errstate(all="ignore"):
        for rate in _rates(measurer, sweep, source):
            try:
                batch, info, _ = next(loop)
            except ValueError as error:
                if "[E986]" in str(error):
                    raise UserError(f"{source}: the training corpus has no documents") from None
                # A component that looks at its own loss refuses nan.
                if "[E910]" not in str(error):
                    raise
                record.fail(rate)
                break
            if not record.add(rate, batch, info["losses"], measurer.take()):
                break
    loop.close()
    names = [parameter.name for parameter in parameters]
    return record.result(names, seed=training["seed"], dropout=training["dropout"], **told)


def _rates(measurer: Measurer, sweep: Sweep, source: str) -> Iterator[float]:
    """The rate of each update as the optimizer has it just before."""
    planned = registry.resolve({"schedule": sweep.schedule})["schedule"]
    for expected in islice(planned, sweep.updates):
        rate = float(measurer.learn_rate)  # type: ignore[arg-type]
        if not math.isclose(rate, expected, rel_tol=1e-6):
            raise UserError(
                f"{source}: the optimizer does not follow its learn_rate ({rate:g} in place of {expected:g})"
            )
        yield rate


@contextmanager
def _told_in_one_line(source: str) -> Iterator[None]:
    """What spaCy says against a config or its corpus, as a UserError."""
    try:
        yield
    # confection, the registries, the readers and the disk have no common base; a TypeError would be a defect of ours.
    except (ValueError, LookupError, OSError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{source}: the training cannot be set up: {reason[:300]}") from None
