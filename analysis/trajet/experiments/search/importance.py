"""Which parameters decide whether a point of a search is among the best.

PED-ANOVA: how far the distribution of a parameter's values among the best points lies from that among all points, a
conditional parameter among those where it applies. Points given up early count as not among the best, which is all that
this measure asks of a score. With some dozens of points any parameter looks a little important, so each is told
together with what it reaches when the scores are shuffled among the points. A choice that the search soon gave up shows
little: it is compared with the points that were asked for, and those no longer had it.

Source: Watanabe et al. 2023, PED-ANOVA; Optuna's PedAnovaImportanceEvaluator (NumPy only).
"""

import warnings
from collections.abc import Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from trajet.experiments.search.parameter import CATEGORICAL, INT, Parameter
from trajet.experiments.search.results import COMPLETE, Importance, Point

# Fewer points say nothing.
LEAST = 8
# The best points: a tenth, but five at least, if there are that many to choose from.
_TOP_SHARE, _TOP_COUNT, _TOP_MOST = 0.1, 5, 0.5
_LEVEL = 0.95


def importance(
    parameters: Sequence[Parameter], points: Sequence[Point], seed: int = 0, shuffles: int = 100
) -> list[Importance]:
    """Each parameter's importance and what chance alone would show, the largest first.

    Args:
        parameters: of the space.
        points: of a search, given up ones too.
        seed: of the shuffles.
        shuffles: how often the scores are dealt out anew.
    Returns:
        Empty with fewer than LEAST points, or where all have the same score.
    """
    # Below every score of a point trained to the end.
    scores = np.array([point.score if point.state == COMPLETE else point.score - 2 for point in points])
    if len(points) < LEAST or np.ptp(scores) == 0:
        return []
    study = _study(parameters, points)
    top = min(_TOP_MOST, max(_TOP_SHARE, _TOP_COUNT / len(points)))
    measured = _measure(study, scores, top)
    random = np.random.default_rng(seed)
    shuffled = [_measure(study, random.permutation(scores), top) for _ in range(shuffles)]
    found = [
        Importance(name, value, float(np.quantile([each[name] for each in shuffled], _LEVEL)))
        for name, value in measured.items()
    ]
    return sorted(found, key=lambda each: (-each.value, each.name))


def _study(parameters: Sequence[Parameter], points: Sequence[Point]) -> optuna.Study:
    """The points as a study in memory; their scores are told apart, with each measurement."""
    storage = optuna.storages.InMemoryStorage()
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(storage=storage)
    finally:
        optuna.logging.set_verbosity(verbosity)
    distributions = {parameter.name: _distribution(parameter) for parameter in parameters}
    for point in points:
        of_point = {name: distributions[name] for name in point.values}
        study.add_trial(optuna.create_trial(params=point.values, distributions=of_point, value=0.0))
    return study


def _measure(study: optuna.Study, scores: np.ndarray, top: float) -> dict[str, float]:
    """Parameter -> importance, of those that applied to some point."""
    with warnings.catch_warnings():
        # That raw values are an experimental feature; that lower targets are better; that few points met a condition.
        warnings.simplefilter("ignore")
        return get_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(target_quantile=top),
            target=lambda trial: -float(scores[trial.number]),
            normalize=False,
        )


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.kind == CATEGORICAL:
        return CategoricalDistribution(parameter.choices)
    low, high = parameter.bounds()
    if parameter.kind == INT:
        return IntDistribution(int(low), int(high), log=parameter.log)
    return FloatDistribution(low, high, log=parameter.log)
