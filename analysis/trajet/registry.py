"""Everything spaCy can name in a config: `trajet.Name.v1`. Reached through entry points."""

import sys
from collections.abc import Callable, Sequence

from spacy.language import Language
from spacy.util import registry

from trajet.corpus.tokenizer import split_signs as _split_signs
from trajet.errors import UserError
from trajet.initial_weights import scale_weights as _scale_weights
from trajet.trace.spacy_run import OptimizerTrace


@registry.callbacks("trajet.SplitSigns.v1")
def split_signs():
    """For `[initialize.before_init]`: arrows, signs and brackets between letters become tokens of their own."""

    def callback(nlp: Language) -> Language:
        return _split_signs(nlp)

    return callback


@registry.callbacks("trajet.ScaleWeights.v1")
def scale_weights(parameters: Sequence[str], factor: float):
    """For `[initialize.after_init]`: multiply the first weights of some parameters, see trajet.initial_weights."""

    def callback(nlp: Language) -> Language:
        _scale_weights(nlp, parameters, factor)
        return nlp

    return _one_line(lambda: callback)


@registry.callbacks("trajet.OptimizerTrace.v1")
def optimizer_trace(
    path: str = "trace.jsonl",
    every: int = 1,
    level: str = "tensors",
    watch: Sequence[str] = (),
    losses_on: int = 0,
    follow: Sequence[str] = (),
):
    """For `[training.before_update]`: write what the optimizer does, see trajet.trace.OptimizerTrace."""
    return _one_line(lambda: OptimizerTrace(path, every, level, list(watch), losses_on, list(follow)))


@registry.callbacks("trajet.Chain.v1")
def chain(*callbacks: Callable):
    """For any callback: call several, each a block `[training.before_update.*.name]`, in file order."""

    def callback(nlp: Language, *args):
        for member in callbacks:
            result = member(nlp, *args)
            # Callbacks that hand the pipeline on ([initialize.before_init]) may hand on another one.
            nlp = nlp if result is None else result
        return nlp

    return callback


def _one_line(make: Callable[[], Callable]) -> Callable:
    """A callback whose UserErrors leave `spacy train` with one line and exit code 2, without a traceback."""
    called = _exit_on_user_error(make)

    def callback(*args):
        return _exit_on_user_error(lambda: called(*args))

    return callback


def _exit_on_user_error(call: Callable):
    try:
        return call()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
