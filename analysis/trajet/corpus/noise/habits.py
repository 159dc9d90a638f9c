"""What tends to come together: a phone, a dictation, a hurried mail, an old form."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from trajet.corpus.noise import letters, names, punctuation, sms, speech, synonyms, words
from trajet.corpus.noise.basis import Noise, joined
from trajet.corpus.render import Segment

NOISES: dict[str, Noise] = {
    **letters.NOISES,
    **punctuation.NOISES,
    **names.NOISES,
    **words.NOISES,
    **synonyms.NOISES,
    **sms.NOISES,
    **speech.NOISES,
}


@dataclass(frozen=True)
class Habit:
    """A share of all sentences and the noises these get, in order."""

    share: float
    noises: tuple[str, ...]


# What is left to 1 stays as written.
HABITS: dict[str, Habit] = {
    "careless": Habit(0.05, ("lower", "no-end")),
    "bare": Habit(0.025, ("lower", "accents", "no-punctuation")),
    "bare-names": Habit(0.02, ("lower", "hyphens", "no-punctuation")),
    "lower": Habit(0.02, ("lower",)),
    "typo": Habit(0.04, ("typo",)),
    "careless-typo": Habit(0.025, ("lower", "typo", "no-end")),
    "two-typos": Habit(0.015, ("typo", "typo")),
    "three-typos": Habit(0.01, ("typo", "typo", "typo")),
    "doubled": Habit(0.005, ("doubled",)),
    "foreign-keyboard": Habit(0.015, ("accents",)),
    "foreign-keyboard-names": Habit(0.01, ("accents", "hyphens", "no-apostrophe")),
    "foreign-keyboard-typo": Habit(0.01, ("accents", "typo")),
    "short-names": Habit(0.015, ("hyphens", "saint")),
    "names-apart": Habit(0.015, ("apart",)),
    "names-by-ear": Habit(0.015, ("by-ear",)),
    "names-by-ear-careless": Habit(0.01, ("by-ear", "lower", "no-end")),
    "upper": Habit(0.01, ("upper",)),
    "old-form": Habit(0.01, ("accents", "upper")),
    "apostrophe": Habit(0.01, ("apostrophe",)),
    "no-end": Habit(0.01, ("no-end",)),
    "sms-chat": Habit(0.02, ("sms", "lower", "accents", "no-punctuation", "no-apostrophe")),
    "sms-light": Habit(0.01, ("sms", "no-end")),
    "dictation": Habit(0.02, ("speech",)),
    "other-words": Habit(0.01, ("synonyms", "deletion", "swap")),
}


def disturb(segments: list[Segment], rng: Random, habits: Mapping[str, Habit] = HABITS) -> list[Segment]:
    """Apply the noises of one habit, drawn by its share, or none.

    Labels and places stay with their segments: a span is always what is written.
    """
    if not any(segment.text for segment in segments):
        return segments
    drawn, total = rng.random(), 0.0
    for habit in habits.values():
        total += habit.share
        if drawn < total:
            segments = joined(segments)
            for name in habit.noises:
                segments = [segment for segment in NOISES[name](segments, rng) if segment.text]
            return segments
    return segments
