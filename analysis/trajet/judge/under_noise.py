"""What each kind of noise costs: the same sentences clean and disturbed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from trajet.corpus.challenge import Challenge, disturbed
from trajet.corpus.noise import NOISES
from trajet.evaluation import Outcome, Predictor
from trajet.judge.edits import spans_of
from trajet.statistics import f_over_frames, micro_f, percentile_interval


@dataclass(frozen=True)
class NoiseDrop:
    """What one noise does to F.

    Attributes:
        changed: sentences that the noise changes at all; the next five are about these.
        f_clean, f_noisy: micro F before and after.
        drop: f_clean - f_noisy.
        low, high: 95 % interval of the drop, sentences drawn again in pairs.
        f_noisy_all: micro F over all sentences, the unchanged ones among them.
    """

    changed: int
    f_clean: float | None
    f_noisy: float | None
    drop: float | None
    low: float | None
    high: float | None
    f_noisy_all: float


def noise_drops(predict: Predictor, sentences: Sequence[Challenge], seed: int) -> tuple[float, dict[str, NoiseDrop]]:
    """F over the clean sentences, and what each of `trajet.corpus.noise.NOISES` makes of it."""
    clean = _counts(predict, sentences)
    drops = {}
    for noise in NOISES:
        noisy_sentences = [disturbed(sentence, noise, seed, index) for index, sentence in enumerate(sentences)]
        changed = np.array(
            [noisy.text != sentence.text for noisy, sentence in zip(noisy_sentences, sentences, strict=True)]
        )
        # The same text has the same prediction: only what changed is predicted again.
        noisy = clean.copy()
        noisy[changed] = _counts(predict, list(compress(noisy_sentences, changed)))
        drops[noise] = _drop(clean[changed], noisy[changed], float(micro_f(noisy.sum(axis=0))), seed)
    return float(micro_f(clean.sum(axis=0))), drops


def _drop(clean: np.ndarray, noisy: np.ndarray, over_all: float, seed: int) -> NoiseDrop:
    if not len(clean):
        return NoiseDrop(0, None, None, None, None, None, over_all)
    before, after = float(micro_f(clean.sum(axis=0))), float(micro_f(noisy.sum(axis=0)))
    # The same seed draws the same sentences of both.
    low, high = percentile_interval(f_over_frames(clean, seed) - f_over_frames(noisy, seed))
    return NoiseDrop(len(clean), before, after, before - after, low, high, over_all)


def _counts(predict: Predictor, sentences: Sequence[Challenge]) -> np.ndarray:
    predicted = predict([sentence.text for sentence in sentences])
    counts = [
        Outcome(spans_of(sentence.segments), found, "", "").counts
        for sentence, found in zip(sentences, predicted, strict=True)
    ]
    return np.array(counts, dtype=float).reshape(-1, 3)
