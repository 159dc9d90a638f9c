"""What each kind of noise costs: the same sentences clean and disturbed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from trajet.corpus.challenge import Challenge, disturbed
from trajet.corpus.noise import NOISES
from trajet.corpus.render import Segment
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
    clean = _counts(predict, [sentence.segments for sentence in sentences])
    texts = [sentence.text for sentence in sentences]
    drops = {}
    for noise in NOISES:
        noisy_segments = [disturbed(sentence, noise, seed, index) for index, sentence in enumerate(sentences)]
        changed = np.array([_text(segments) != text for segments, text in zip(noisy_segments, texts, strict=True)])
        # The same text has the same prediction: only what changed is predicted again.
        noisy = clean.copy()
        noisy[changed] = _counts(predict, list(compress(noisy_segments, changed)))
        drops[noise] = _drop(clean[changed], noisy[changed], float(micro_f(noisy.sum(axis=0))), seed)
    return float(micro_f(clean.sum(axis=0))), drops


def _drop(clean: np.ndarray, noisy: np.ndarray, over_all: float, seed: int) -> NoiseDrop:
    if not len(clean):
        return NoiseDrop(0, None, None, None, None, None, over_all)
    before, after = float(micro_f(clean.sum(axis=0))), float(micro_f(noisy.sum(axis=0)))
    # The same seed draws the same sentences of both.
    low, high = percentile_interval(f_over_frames(clean, seed) - f_over_frames(noisy, seed))
    return NoiseDrop(len(clean), before, after, before - after, low, high, over_all)


def _counts(predict: Predictor, sentences: Sequence[Sequence[Segment]]) -> np.ndarray:
    predicted = predict([_text(segments) for segments in sentences])
    counts = [Outcome(spans_of(s), found, "", "").counts for s, found in zip(sentences, predicted, strict=True)]
    return np.array(counts, dtype=float).reshape(-1, 3)


def _text(segments: Sequence[Segment]) -> str:
    return "".join(segment.text for segment in segments)
