"""What all noises share: their type, and which part of a text one may change without moving a place's border."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from trajet.corpus.render import Segment

Noise = Callable[[list[Segment], Random], list[Segment]]


def each(change: Callable[[str], str]) -> Noise:
    """A noise that changes every segment's text."""
    return lambda segments, rng: [replace(segment, text=change(segment.text)) for segment in segments]


def in_places(change: Callable[[str, Random], str]) -> Noise:
    """A noise that changes the places' names alone."""
    return lambda segments, rng: [replace(s, text=change(s.text, rng)) if s.place else s for s in segments]


def joined(segments: Sequence[Segment]) -> list[Segment]:
    """Neighbouring segments without a place made one, so that "jusqu'" + "à " is a word again."""
    whole: list[Segment] = []
    for segment in segments:
        if whole and not segment.place and not whole[-1].place:
            whole[-1] = Segment(whole[-1].text + segment.text)
        else:
            whole.append(segment)
    return whole


def outside_places(change: Callable[[str, Random], str]) -> Noise:
    """A noise that changes the text between places, but no chunk that touches one ("d'" of "d'Angers").

    A change there could glue the two: "demain,Lyon" is three tokens, "dem1,Lyon" is one.
    """

    def noise(segments: list[Segment], rng: Random) -> list[Segment]:
        changed = []
        for index, segment in enumerate(segments):
            if segment.place:
                changed.append(segment)
                continue
            start, end = free_range(segments, index)
            text = segment.text
            changed.append(replace(segment, text=text[:start] + change(text[start:end], rng) + text[end:]))
        return changed

    return noise


def free_range(segments: Sequence[Segment], index: int) -> tuple[int, int]:
    """Start and end of what no place touches in segment `index`: from space to space beside a place."""
    text = segments[index].text
    start, end = 0, len(text)
    if index and segments[index - 1].place:
        space = re.search(r"\s", text)
        start = space.start() if space else end
    if index + 1 < len(segments) and segments[index + 1].place:
        end = max(start, len(re.sub(r"\S+$", "", text)))
    return start, end


def like(model: str, text: str) -> str:
    """`text` with the capitals of `model`: all of them, the first, or none."""
    if len(model) > 1 and model.isupper():
        return text.upper()
    return text[:1].upper() + text[1:] if model[:1].isupper() else text
