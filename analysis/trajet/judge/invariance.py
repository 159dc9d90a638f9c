"""Changes of a sentence after which a prediction must stay what it was, and how often it does not.

After Ribeiro et al. 2020, Beyond Accuracy: Behavioral Testing of NLP Models with CheckList.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trajet.corpus.challenge import Challenge
from trajet.corpus.noise import strip_accents
from trajet.corpus.places import TOWN_POWER, Place, fold
from trajet.evaluation import Predictor
from trajet.judge.edits import Edit, Piece, marked, unchanged
from trajet.judge.invented import invented_name
from trajet.judge.replace import Context, context_of, put

PREAMBLES = ("Bonjour. ", "Bonjour madame. ", "Excusez-moi de vous déranger. ", "Bonsoir, j'ai une question. ")
CLOSINGS = ("Merci d'avance.", "Merci beaucoup, bonne journée.", "Je vous remercie.", "Merci pour votre aide.")
# Only villages: names that neither a reader nor the training data knows well.
VILLAGE_POPULATION = 1000
_DRAWS = 100


@dataclass(frozen=True)
class Failure:
    """One sentence before and after, with what was predicted in each written into it."""

    before: str
    after: str


@dataclass(frozen=True)
class Invariance:
    """How often one kind of change changes predictions.

    Attributes:
        tests: sentences that were changed and can be compared.
        failures: of those, where the prediction did not stay the same.
        broken: of those, where it was right before and is wrong after.
        mended: wrong before and right after.
        not_comparable: sentences where a predicted border lay inside what was changed.
        examples: the first failures.
    """

    tests: int
    failures: int
    broken: int
    mended: int
    not_comparable: int
    examples: list[Failure] = field(default_factory=list)

    @property
    def failure_rate(self) -> float | None:
        return self.failures / self.tests if self.tests else None


def check(predict: Predictor, edits: Sequence[Edit], examples: int = 0) -> Invariance:
    """Predict each sentence before and after, and compare what should be the same."""
    before = predict([edit.before for edit in edits])
    after = predict([edit.after for edit in edits])
    tests = broken = mended = 0
    failed: list[Failure] = []
    for edit, old, new in zip(edits, before, after, strict=True):
        expected = edit.moved(old)
        if expected is None:
            continue
        tests += 1
        was_right, is_right = old == edit.gold_before, new == edit.gold_after
        broken += was_right and not is_right
        mended += is_right and not was_right
        if new != expected:
            failed.append(Failure(marked(edit.before, old), marked(edit.after, new)))
    return Invariance(tests, len(failed), broken, mended, len(edits) - tests, failed[:examples])


def all_edits(sentences: Sequence[Challenge], towns: Sequence[Place], seed: int) -> dict[str, list[Edit]]:
    """The edited sentences of each test; those that a test cannot change are left out.

    Args:
        towns: French towns, for village names and for what an invented name must not be.
    """
    villages = village_names(towns)
    taken = {place.name.lower() for place in towns}
    renamings: dict[str, Callable[[random.Random], str]] = {
        "villages": lambda rng: rng.choice(villages),
        "invented": lambda rng: invented_name(rng, taken),
    }
    edits: dict[str, list[Edit | None]] = {"swap": [swap(sentence) for sentence in sentences]}
    for name, draw in renamings.items():
        edits[name] = [rename(s, draw, random.Random(f"{seed}:{name}:{i}")) for i, s in enumerate(sentences)]
    edits["preamble"] = [preamble(s, random.Random(f"{seed}:preamble:{i}")) for i, s in enumerate(sentences)]
    edits["closing"] = [closing(s, random.Random(f"{seed}:closing:{i}")) for i, s in enumerate(sentences)]
    return {name: [edit for edit in found if edit] for name, found in edits.items()}


def village_names(towns: Sequence[Place]) -> list[str]:
    """The names of villages among towns, without those whose article would contract or be taken for a small one."""
    most = float(VILLAGE_POPULATION) ** TOWN_POWER
    articles = ("Le ", "La ", "Les ", "L'")
    return [place.name for place in towns if place.weight <= most and not place.name.startswith(articles)]


def swap(sentence: Challenge) -> Edit | None:
    """Exchange departure and arrival, where there is one of each: the labels stay where they were, the names change."""
    places = [segment for segment in sentence.segments if segment.label]
    if sorted(place.label for place in places) != ["ARR", "DEP"] or places[0].text == places[1].text:
        return None
    names = {places[0].text: places[1].text, places[1].text: places[0].text}
    return _with_names(sentence, names, lambda context: context.keeps_names)


def rename(sentence: Challenge, draw: Callable[[random.Random], str], rng: random.Random) -> Edit | None:
    """Give each departure and arrival another name, the same name the same one."""
    names: dict[str, str] = {}
    for segment in sentence.segments:
        if segment.label and segment.text not in names:
            drawn = (draw(rng) for _ in range(_DRAWS))
            new = (name for name in drawn if name not in names.values() and fold(name) not in fold(sentence.text))
            if (name := next(new, None)) is None:
                return None
            names[segment.text] = name
    return _with_names(sentence, names, lambda context: True) if names else None


def preamble(sentence: Challenge, rng: random.Random) -> Edit:
    """A polite sentence before it."""
    return Edit((Piece("", rng.choice(PREAMBLES)), *unchanged(sentence.segments)))


def closing(sentence: Challenge, rng: random.Random) -> Edit:
    """A polite sentence after it, after a comma where no sign ends it."""
    text = rng.choice(CLOSINGS)
    last = sentence.text.rstrip()[-1:]
    joint = f", {text[0].lower()}{text[1:]}" if last.isalnum() else f" {text}"
    return Edit((*unchanged(sentence.segments), Piece("", joint)))


def _with_names(sentence: Challenge, names: dict[str, str], fits: Callable[[Context], bool]) -> Edit | None:
    """The sentence with other names; None where one cannot stand there, or is also said where it plays no role."""
    rest = strip_accents(" ".join(segment.text for segment in sentence.segments if not segment.label).lower())
    if any(re.search(rf"\b{re.escape(strip_accents(name.lower()))}\b", rest) for name in names):
        return None
    pieces: list[Piece] = []
    for segment in sentence.segments:
        if not segment.label:
            pieces.append(Piece(segment.text, segment.text))
            continue
        # What stands before belongs to the name: "de" or "d'", "à" or "au".
        before = pieces.pop().before if pieces and not pieces[-1].label else ""
        context = context_of(before)
        if context is None or not fits(context):
            return None
        pieces += put(context, segment.text, names[segment.text], segment.label, sentence.text)
    return Edit(tuple(pieces))
