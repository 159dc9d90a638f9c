"""Everything spaCy can name in a config: `trajet.Name.v1`. Reached through entry points."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from spacy.language import Language
from spacy.util import registry
from thinc.api import Optimizer
from thinc.optimizers import FloatOrSeq
from thinc.types import Generator

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


@registry.callbacks("trajet.PlaceNorms.v1")
def place_norms(path: str):
    """For `[initialize.before_init]`: known places share one normal form, see trajet.place_norms."""

    def callback(nlp: Language) -> Language:
        from trajet.place_norms import set_place_norms

        return set_place_norms(nlp, Path(path))

    return _one_line(lambda: callback)


@registry.callbacks("trajet.WithoutPipes.v1")
def without_pipes(names: Sequence[str]):
    """For `[training.before_to_disk]`: save the pipeline without some of its pipes, see trajet.training.side_task."""
    from trajet.training.side_task import without_pipes

    return _one_line(lambda: without_pipes(names))


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


# -- schedules -------------------------------------------------------------------------------------


@registry.schedules("trajet.WarmupCosine.v1")
def warmup_cosine(initial_rate: float, warmup_steps: int, total_steps: int, final_rate: float = 0.0):
    """Linear warm-up, then half a cosine down to `final_rate`."""
    from trajet.training.schedules import warmup_cosine

    return _exit_on_user_error(lambda: warmup_cosine(initial_rate, warmup_steps, total_steps, final_rate))


@registry.schedules("trajet.Triangular.v1")
def triangular(max_rate: float, num_steps: int, cut_frac: float = 0.1, ratio: int = 32):
    """Slanted triangular that never turns negative: after `num_steps` it stays at max_rate / ratio."""
    from trajet.training.schedules import triangular

    return _exit_on_user_error(lambda: triangular(max_rate, num_steps, cut_frac, ratio))


@registry.schedules("trajet.Steps.v1")
def stepwise(initial_rate: float, steps: Sequence[int], factor: float = 0.1):
    """A rate multiplied by `factor` at each of `steps`."""
    from trajet.training.schedules import stepwise

    return _exit_on_user_error(lambda: stepwise(initial_rate, list(steps), factor))


# -- optimizers ------------------------------------------------------------------------------------


@registry.optimizers("trajet.SGD.v1")
def momentum_sgd(
    learn_rate: FloatOrSeq,
    momentum: float = 0.9,
    nesterov: bool = False,
    dampening: float = 0.0,
    L2: FloatOrSeq = 0.0,
    L2_is_weight_decay: bool = True,
    grad_clip: FloatOrSeq = 0.0,
    use_averages: bool = False,
):
    """Gradient descent with momentum, or looking ahead with nesterov, see trajet.training.momentum."""
    from trajet.training.momentum import MomentumSGD

    return _exit_on_user_error(lambda: MomentumSGD(
        learn_rate, momentum=momentum, nesterov=nesterov, dampening=dampening, L2=L2,
        L2_is_weight_decay=L2_is_weight_decay, grad_clip=grad_clip, use_averages=use_averages,
    ))  # fmt: skip


@registry.optimizers("trajet.AdamW.v1")
def adamw(
    learn_rate: FloatOrSeq,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    L2: FloatOrSeq = 0.01,
    no_decay: Sequence[str] = ("b", "G", "pad"),
    grad_clip: FloatOrSeq = 0.0,
    use_averages: bool = False,
):
    """AdamW as torch has it, without decay of biases and norms, see trajet.training.adamw."""
    from trajet.training.adamw import AdamW

    return _exit_on_user_error(lambda: AdamW(
        learn_rate, beta1=beta1, beta2=beta2, eps=eps, L2=L2, no_decay=list(no_decay), grad_clip=grad_clip,
        use_averages=use_averages,
    ))  # fmt: skip


@registry.optimizers("trajet.ProximalL1.v1")
def proximal_l1(optimizer: Optimizer, L1: float):
    """Another optimizer, and after each of its steps a soft threshold of learn_rate * L1."""
    from trajet.training.proximal_l1 import ProximalL1

    return _exit_on_user_error(lambda: ProximalL1(optimizer, L1))


# -- callbacks and readers of a training -----------------------------------------------------------


@registry.callbacks("trajet.GlobalClip.v1")
def global_clip(threshold: float):
    """For `[training.before_update]`, with `grad_clip = 0`: scale all gradients together to norm `threshold` at most."""
    from trajet.training.global_clip import GlobalClip

    return _one_line(lambda: GlobalClip(threshold))


@registry.callbacks("trajet.Dropout.v1")
def scheduled_dropout(schedule: Generator):
    """For `[training.before_update]`: dropout by schedule; `training.dropout` takes a number only."""
    from trajet.training.dropout import ScheduledDropout

    return _one_line(lambda: ScheduledDropout(schedule))


@registry.callbacks("trajet.WrongLabels.v1")
def wrong_labels(updates: int = 250, seed: int = 0):
    """For `[training.before_update]`: the first `updates` learn from wrong labels (an experiment, not a remedy)."""
    from trajet.training.wrong_labels import WrongLabels

    return _one_line(lambda: WrongLabels(updates, seed))


@registry.callbacks("trajet.ReduceOnPlateau.v1")
def reduce_on_plateau(factor: float = 0.5, patience: int = 3, floor: float = 1e-7):
    """For `[training.before_update]`: multiply the rate when the score has not risen for `patience` evaluations."""
    from trajet.training.plateau import ReduceOnPlateau

    return _one_line(lambda: ReduceOnPlateau(factor, patience, floor))


@registry.readers("trajet.Share.v1")
def share(corpus: Callable, share: float, seed: int = 0, rest: bool = False):
    """A share of another reader's documents, or what that share leaves."""
    from trajet.training.share import share_reader

    return _one_line(lambda: share_reader(corpus, share, seed, rest))


@registry.readers("trajet.Challenge.v1")
def challenge(path: str, noises: Sequence[str] = (), seed: int = 0):
    """The sentences of a challenge file, to be scored on, as written and under noises; see trajet.corpus.challenge."""
    from trajet.corpus.challenge import challenge_reader

    return _one_line(lambda: challenge_reader(Path(path), noises, seed))


@registry.readers("trajet.Frames.v1")
def frames(
    path: str,
    seed: int = 0,
    draws: int = 0,
    rare: float = 0.2,
    invented: float = 0.1,
    joined: float = 0.1,
    noise: bool = True,
    without: Sequence[str] = (),
    roles: bool = False,
    share: float = 1.0,
):
    """The training frames drawn without end, with other places each time, see trajet.corpus.stream."""
    from trajet.corpus.stream import Mix, frames_reader

    return _one_line(
        lambda: frames_reader(path, seed, draws, Mix(rare, invented, joined, noise, tuple(without)), roles, share)
    )


@registry.readers("trajet.ReadOnce.v1")
def read_once(
    path: str | None,
    gold_preproc: bool = False,
    max_length: int = 0,
    limit: int = 0,
    augmenter: Callable | None = None,
):
    """spaCy's own corpus, read and tokenized once instead of at each pass."""
    from trajet.training.read_once import read_once

    return _one_line(lambda: read_once(path, gold_preproc, max_length, limit, augmenter))


# -- augmenters of a corpus ------------------------------------------------------------------------


@registry.augmenters("trajet.Noise.v1")
def noise(habits: dict[str, float] | None = None, seed: int = 0):
    """For `[corpora.train.augmenter]`: what people, keyboards and telephones do to a sentence, labels kept right."""
    from trajet.training.augmenters import noise

    return _exit_on_user_error(lambda: noise(habits, seed))


@registry.augmenters("trajet.LabelSafeText.v1")
def label_safe_text(synonyms: float = 0.1, deletion: float = 0.1, swaps: int = 2, seed: int = 0):
    """For `[corpora.train.augmenter]`: synonyms, deletion and swaps that leave places and their words alone."""
    from trajet.training.augmenters import label_safe_text

    return _exit_on_user_error(lambda: label_safe_text(synonyms, deletion, swaps, seed))


@registry.augmenters("trajet.NaiveText.v1")
def naive_text(synonyms: float = 0.1, deletion: float = 0.1, swaps: int = 2, seed: int = 0):
    """For `[corpora.train.augmenter]`: a negative control that BREAKS the labels (they stay at the old positions)."""
    from trajet.training.augmenters import naive_text

    return _exit_on_user_error(lambda: naive_text(synonyms, deletion, swaps, seed))


# -- encoders --------------------------------------------------------------------------------------


@registry.architectures("trajet.WindowEncoder.v1")
def window_encoder(
    width: int,
    depth: int,
    window_size: int = 1,
    maxout_pieces: int = 3,
    norm: str = "layer",
    init: str = "glorot_uniform",
):
    """spaCy's MaxoutWindowEncoder with the normalisation and the first weights to choose."""
    from trajet.encoders.window import window_encoder

    return _exit_on_user_error(lambda: window_encoder(width, depth, window_size, maxout_pieces, norm, init))


@registry.architectures("trajet.RecurrentEncoder.v1")
def recurrent_encoder(cell: str, width: int, depth: int = 1, dropout: float = 0.0):
    """A bidirectional LSTM or GRU over each document (torch)."""
    from trajet.encoders.recurrent import recurrent_encoder

    return _exit_on_user_error(lambda: recurrent_encoder(cell, width, depth, dropout))


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
