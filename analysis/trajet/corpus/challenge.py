"""The challenge set: sentences written one by one, never trained on."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from trajet.corpus.build import make_doc
from trajet.corpus.frames import LABELS
from trajet.corpus.noise import NOISES
from trajet.corpus.render import Segment
from trajet.errors import UserError
from trajet.files import read_text
from trajet.marked import split_marked

# The open half may be read, of the final one nothing is shown but scores.
HALVES = ("open", "final")
# How it is said, and what has happened to its spelling.
REGISTERS = ("neutral", "formal", "informal", "chat", "spoken", "telegraphic")
WRITTEN_NOISES = ("none", "typo", "lower", "upper", "accents", "punctuation", "sms", "homophones", "mixed")


@dataclass(frozen=True)
class Challenge:
    """One sentence: its segments, the phenomenon it tests, where it stands, how it is said and written."""

    segments: tuple[Segment, ...]
    phenomenon: str
    where: str
    register: str = REGISTERS[0]
    noise: str = WRITTEN_NOISES[0]

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments)


def half_path(folder: Path, half: str) -> Path:
    """The file of one of HALVES."""
    return Path(folder) / f"challenge-{half}.jsonl"


def load_challenge(path: Path) -> list[Challenge]:
    """The sentences of a JSON Lines file.

    Each line has "text" (spans as `[Lyon](ARR)`) and "phenomenon"; "register" is one of REGISTERS ("neutral" where it
    is left out), "noise" one of WRITTEN_NOISES ("none").

    Raises:
        UserError: the file is missing, or a line is bad (file:line is named).
    """
    sentences = []
    for number, line in enumerate(read_text(path, "the challenge sentences belong there").splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            entry = json.loads(line)
            text, phenomenon = entry["text"], entry["phenomenon"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f'{where}: not a JSON object with "text" and "phenomenon" ({error})') from None
        if not (isinstance(text, str) and isinstance(phenomenon, str)):
            raise UserError(f'{where}: "text" and "phenomenon" must both be strings')
        register = _one_of(REGISTERS, entry, "register", where)
        noise = _one_of(WRITTEN_NOISES, entry, "noise", where)
        sentences.append(Challenge(tuple(_segments(text, where)), phenomenon, where, register, noise))
    if not sentences:
        raise UserError(f"{path}: no sentence in it")
    return sentences


def disturbed(sentence: Challenge, noise: str, seed: int, index: int) -> Challenge:
    """The sentence under one of `trajet.corpus.noise.NOISES`, its place "FILE:LINE NOISE".

    The same seed and index give the same letters.
    """
    rng = random.Random(f"{seed}:{noise}:{index}")
    segments = tuple(segment for segment in NOISES[noise](list(sentence.segments), rng) if segment.text)
    return replace(sentence, segments=segments, where=f"{sentence.where} {noise}")


def load_challenge_docs(nlp: Language, path: Path) -> list[Doc]:
    """Challenge sentences as gold documents, tokenized as the pipeline does."""
    return [_doc(nlp, sentence) for sentence in load_challenge(path)]


def challenge_reader(path: Path, noises: Sequence[str] = (), seed: int = 0) -> Callable[[Language], Iterator[Example]]:
    """The reader `trajet.Challenge.v1`: a challenge file's sentences as examples, for `[corpora.dev]`.

    Args:
        path: of the file.
        noises: after all sentences as they stand, those that a noise changes come once more under it, noise by noise;
            their frame is "FILE:LINE NOISE". Left out are the few where a name and its neighbour become one token.
        seed: of the noises.

    Raises:
        UserError: an unknown noise; when read, as `load_challenge`.
    """
    if unknown := [noise for noise in noises if noise not in NOISES]:
        raise UserError(
            f"[corpora]: trajet.Challenge.v1: noises has {unknown[0]!r}; the noises are {', '.join(NOISES)}"
        )

    def read(nlp: Language) -> Iterator[Example]:
        sentences = load_challenge(path)
        docs = [_doc(nlp, sentence) for sentence in sentences]
        for noise in noises:
            for index, sentence in enumerate(sentences):
                noisy = disturbed(sentence, noise, seed, index)
                if noisy.text != sentence.text:
                    with suppress(UserError):
                        docs.append(_doc(nlp, noisy))
        return iter([Example(nlp.make_doc(doc.text), doc) for doc in docs])

    return read


def _doc(nlp: Language, sentence: Challenge) -> Doc:
    doc = make_doc(nlp, sentence.segments, sentence.where)
    doc.user_data["phenomenon"], doc.user_data["frame"] = sentence.phenomenon, sentence.where
    doc.user_data["register"], doc.user_data["noise"] = sentence.register, sentence.noise
    return doc


def _one_of(known: Sequence[str], entry: dict, key: str, where: str) -> str:
    value = entry.get(key, known[0])
    if value not in known:
        raise UserError(f"{where}: unknown {key} {value!r}; write one of {', '.join(known)}, or leave it out")
    return value


def _segments(marked: str, where: str) -> Iterator[Segment]:
    for text, label in split_marked(marked, where):
        if label and label not in LABELS:
            raise UserError(f"{where}: unknown label {label!r}; labels are {' and '.join(LABELS)}")
        yield Segment(text, label, place=bool(label))
