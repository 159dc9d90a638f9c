"""Signs that people leave out."""

from dataclasses import replace
from random import Random

from trajet.corpus.noise.basis import Noise
from trajet.corpus.render import Segment


def no_end(segments: list[Segment], rng: Random) -> list[Segment]:
    """Without the sign that ends the sentence."""
    last = segments[-1]
    text = last.text.rstrip(" .?!…") if not last.place else last.text
    return [*segments[:-1], replace(last, text=text)] if text else segments[:-1] or segments


def no_punctuation(segments: list[Segment], rng: Random) -> list[Segment]:
    """Without commas, stops, brackets and quotes; a space where one stood."""

    def change(text: str) -> str:
        kept = "".join(" " if char in ',;:.?!…()«»"' else char for char in text)
        while "  " in kept:
            kept = kept.replace("  ", " ")
        return kept

    kept = [segment if segment.place else replace(segment, text=change(segment.text)) for segment in segments]
    return no_end(kept, rng)


NOISES: dict[str, Noise] = {"no-end": no_end, "no-punctuation": no_punctuation}
