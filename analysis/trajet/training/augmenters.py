"""Augmenters of a corpus: one noisy example for one clean, with the labels kept - and one that loses them."""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from trajet.corpus.build import make_doc
from trajet.corpus.noise import HABITS, NOISES, Habit, disturb
from trajet.corpus.noise.basis import Noise
from trajet.corpus.noise.synonyms import synonym, synonyms
from trajet.corpus.noise.words import deletion, swaps
from trajet.corpus.render import Segment
from trajet.errors import UserError

Augmenter = Callable[[Language, Example], Iterator[Example]]


def noise(habits: Mapping[str, float] | None = None, seed: int = 0) -> Augmenter:
    """The augmenter `trajet.Noise.v1`: what people, keyboards and telephones do to a sentence.

        p(noisy as habit h) = share_h;    p(as it was) = 1 - sum of the shares

    Entities are the only places it knows: names without a label are text like any other. The noisy text is
    tokenized anew, entities move with their text and keep label and ids; categories stay, other annotations of
    tokens do not. An example stays as it was where an entity would no longer fall on token borders, or where some
    token's entity is not annotated. The draws go on from one reading of the corpus to the next.

    Args:
        habits: share of each, by the name of a habit or of a single noise; None: all of `trajet.corpus.noise.HABITS`.
        seed: of the draws.

    Raises:
        UserError: an unknown name, a share off 0 to 1, shares that sum to more than 1.
    """
    chosen = HABITS if habits is None else _chosen(habits)
    return _label_safe(lambda segments, rng: disturb(segments, rng, chosen), seed)


def label_safe_text(
    synonyms_share: float = 0.1, deletion_share: float = 0.1, count: int = 2, seed: int = 0
) -> Augmenter:
    """The augmenter `trajet.LabelSafeText.v1`: synonyms, deletion and swaps of words that keep the labels right.

    Entities are never touched, nor are words that decide about a role or stand beside a place, see
    trajet.corpus.noise.words; swaps are of neighbours. Everything else is as with `trajet.Noise.v1`.

    Args:
        synonyms_share: probability that a word with a synonym is replaced.
        deletion_share: probability that a word is left out.
        count: of swaps.
        seed: of the draws.

    Raises:
        UserError: a probability off 0 to 1, a number of swaps below 0.
    """
    _check_text("trajet.LabelSafeText.v1", synonyms_share, deletion_share, count)
    steps = (synonyms(synonyms_share), deletion(deletion_share), swaps(count))

    def text(segments: list[Segment], rng: random.Random) -> list[Segment]:
        for step in steps:
            segments = [segment for segment in step(segments, rng) if segment.text]
        return segments

    return _label_safe(text, seed)


def naive_text(synonyms_share: float = 0.1, deletion_share: float = 0.1, count: int = 2, seed: int = 0) -> Augmenter:
    """The augmenter `trajet.NaiveText.v1`: a negative control. IT BREAKS THE LABELS, on purpose.

    Text augmentation as it is shown for classifiers: synonyms, then random deletion, then `count` times two
    words anywhere in the sentence exchanged. The label of token i stays at position i whatever word comes to stand
    there: after a deletion the spans lie beside their places, after a swap they name another word. `trajet.LabelSafeText.v1` takes
    the same settings and keeps labels right.

    Args, Raises: as label_safe_text.
    """
    _check_text("trajet.NaiveText.v1", synonyms_share, deletion_share, count)
    rng = random.Random(seed)

    def naive(nlp: Language, example: Example) -> Example:
        old = example.reference
        tokens = [(token.text, bool(token.whitespace_)) for token in old]
        tokens = [
            (synonym(word, rng) if rng.random() < synonyms_share else word, space) for word, space in tokens
        ]  # fmt: skip
        kept = [token for token in tokens if not (_is_word(token[0]) and rng.random() < deletion_share)]
        tokens = kept if any(_is_word(word) for word, _ in kept) else tokens
        places = [index for index, (word, _) in enumerate(tokens) if _is_word(word)]
        for _ in range(count if len(places) > 1 else 0):
            one, other = rng.sample(places, 2)
            tokens[one], tokens[other] = tokens[other], tokens[one]
        words = [word for word, _ in tokens]
        # A word that came to stand before another needs a space; otherwise each keeps its own.
        spaces = [
            space or (index + 1 < len(words) and word[-1:].isalnum() and words[index + 1][:1].isalnum())
            for index, (word, space) in enumerate(tokens)
        ]
        new = Doc(nlp.vocab, words=words, spaces=spaces)
        spans = [
            Span(new, entity.start, min(entity.end, len(new)), entity.label_, kb_id=entity.kb_id, span_id=entity.id)
            for entity in old.ents
            if entity.start < len(new)
        ]
        # spaCy's recogniser knows no entity that begins or ends in white space.
        new.ents = [span for span in spans if not (span[0].is_space or span[-1].is_space)]
        _carry_over(old, new)
        return Example(Doc(nlp.vocab, words=words, spaces=spaces), new)

    return _one_for_one(naive)


def _label_safe(change: Noise, seed: int) -> Augmenter:
    """An example's segments changed, tokenized and labelled anew, or the example as it was."""
    rng = random.Random(seed)

    def safe(nlp: Language, example: Example) -> Example:
        segments = _segments(example.reference)
        noisy = change(segments, rng)
        text = "".join(segment.text for segment in noisy)
        return example if noisy == segments or not text.strip() else _relabelled(nlp, example, noisy)

    return _one_for_one(safe)


def _one_for_one(change: Callable[[Language, Example], Example]) -> Augmenter:
    """One example for one; where some token's entity is not known, the example as it was."""

    def augment(nlp: Language, example: Example) -> Iterator[Example]:
        yield change(nlp, example) if _fully_annotated(example.reference) else example

    return augment


def _relabelled(nlp: Language, example: Example, segments: list[Segment]) -> Example:
    old = example.reference
    try:
        new = make_doc(nlp, segments, "")
    except UserError:  # a name and its neighbour have become one token
        return example
    new.ents = [
        Span(new, entity.start, entity.end, entity.label_, kb_id=was.kb_id, span_id=was.id)
        for entity, was in zip(new.ents, old.ents, strict=True)
    ]
    _carry_over(old, new)
    return Example(nlp.make_doc(new.text), new)


def _segments(doc: Doc) -> list[Segment]:
    segments, end = [], 0
    for entity in doc.ents:
        segments += [Segment(doc.text[end : entity.start_char]), Segment(entity.text, entity.label_, place=True)]
        end = entity.end_char
    segments.append(Segment(doc.text[end:]))
    return [segment for segment in segments if segment.text]


def _fully_annotated(doc: Doc) -> bool:
    """Whether each token's entity, or that it has none, is known."""
    return all(token.ent_iob for token in doc)


def _carry_over(old: Doc, new: Doc) -> None:
    new.cats = dict(old.cats)
    # Values of extensions are kept by character; those of the whole document have none.
    new.user_data = {
        key: value for key, value in old.user_data.items() if not (isinstance(key, tuple) and key[2] is not None)
    }


def _is_word(text: str) -> bool:
    return any(char.isalnum() for char in text)


# -- settings --------------------------------------------------------------------------------------


def _chosen(shares: Mapping[str, float]) -> dict[str, Habit]:
    where = "[corpora.train.augmenter.habits]: trajet.Noise.v1"
    habits = {}
    for name, share in shares.items():
        if name not in HABITS and name not in NOISES:
            known = ", ".join(sorted({*HABITS, *NOISES}))
            raise UserError(f"{where}: unknown habit {name!r}; there are {known}")
        if not _is_probability(share):
            raise UserError(f"{where}: {name} = {share!r}; a share must lie between 0 and 1")
        habits[name] = Habit(share, HABITS[name].noises if name in HABITS else (name,))
    if (total := math.fsum(habit.share for habit in habits.values())) > 1 + 1e-9:
        raise UserError(f"{where}: the shares sum to {total:g}; they may sum to 1 at most")
    return habits


def _check_text(name: str, synonyms_share: Any, deletion_share: Any, count: Any) -> None:
    for setting, value in (("synonyms", synonyms_share), ("deletion", deletion_share)):
        if not _is_probability(value):
            raise UserError(f"[corpora.train.augmenter]: {name}: {setting} = {value!r}; it must lie between 0 and 1")
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise UserError(f"[corpora.train.augmenter]: {name}: swaps = {count!r}; it must be a whole number from 0")


def _is_probability(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
