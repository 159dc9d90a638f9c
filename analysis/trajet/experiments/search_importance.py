"""Which parameters decide whether a point of a search is among the best.

PED-ANOVA: how far the distribution of a parameter's values among the best points lies from that among all points, a
conditional parameter among those where it applies. Points given up early count as not among the best, which is all that
this measure asks of a score. With some dozens of points any parameter looks a little important, so each is told
together with what it reaches when the scores are shuffled among the points.

Source: Watanabe et al. 2023, PED-ANOVA; Optuna's PedAnovaImportanceEvaluator (NumPy only).
"""

import warnings
from collections.abc import Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from trajet.experiments.search_parameter import CATEGORICAL, INT, Parameter
from trajet.experiments.search_results import COMPLETE, Importance, Point

# Fewer points say nothing.
LEAST = 8
# The best points: a tenth, but five at least, if there are that many to choose from.
_TOP_SHARE, _TOP_COUNT, _TOP_MOST = 0.1, 5, 0.5
_SHUFFLES = 100
_LEVEL = 0.95
_STUDY = "importance"


def importance(parameters: Sequence[Parameter], points: Sequence[Point], seed: int = 0) -> list[Importance]:
    """Each parameter's importance and what chance alone would show, the largest first.

    Args:
        parameters: of the space.
        points: of a search, given up ones too.
        seed: of the shuffles.
    Returns:
        Empty with fewer than LEAST points, or where all have the same score.
    """
    # Below every score of a point trained to the end.
    scores = np.array([point.score if point.state == COMPLETE else point.score - 2 for point in points])
    if len(points) < LEAST or np.ptp(scores) == 0:
        return []
    top = min(_TOP_MOST, max(_TOP_SHARE, _TOP_COUNT / len(points)))
    measured = _measure(parameters, points, scores, top)
    random = np.random.default_rng(seed)
    shuffled = [_measure(parameters, points, random.permutation(scores), top) for _ in range(_SHUFFLES)]
    found = [
        Importance(name, value, float(np.quantile([each[name] for each in shuffled], _LEVEL)))
        for name, value in measured.items()
    ]
    return sorted(found, key=lambda each: (-each.value, each.name))


def _measure(
    parameters: Sequence[Parameter], points: Sequence[Point], scores: np.ndarray, top: float
) -> dict[str, float]:
    """Parameter -> importance, of those that applied to some point."""
    storage = optuna.storages.InMemoryStorage()
    # `create_study` would say so on the terminal each time.
    storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], _STUDY)
    study = optuna.load_study(study_name=_STUDY, storage=storage)
    distributions = {parameter.name: _distribution(parameter) for parameter in parameters}
    study.add_trials(
        optuna.create_trial(
            params=point.values,
            distributions={name: distributions[name] for name in point.values},
            value=float(score),
        )
        for point, score in zip(points, scores, strict=True)
    )
    with warnings.catch_warnings():
        # That raw values are an experimental feature; that a condition was met by few points.
        warnings.simplefilter("ignore")
        return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=top), normalize=False)


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.kind == CATEGORICAL:
        return CategoricalDistribution(parameter.choices)
    low, high = parameter.bounds()
    if parameter.kind == INT:
        return IntDistribution(int(low), int(high), log=parameter.log)
    return FloatDistribution(low, high, log=parameter.log)
