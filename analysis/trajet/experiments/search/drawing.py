"""How points of a search are drawn, and which are given up.

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
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

_STARTUP = 10
_LOOKS = 4  # the first one after 1 / _LOOKS of the updates
_CUT = 2


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
