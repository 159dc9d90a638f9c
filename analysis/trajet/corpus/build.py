"""Frames x places -> train, dev and test documents that share no frame."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin

from trajet.corpus.frames import LABELS, Frame, load_fillers, load_frames
from trajet.corpus.noise import HABITS, Habit, disturb
from trajet.corpus.places import Place, load_places
from trajet.corpus.render import PlacePool, Segment, render
from trajet.corpus.tokenizer import split_signs
from trajet.errors import UserError
from trajet.files import write_atomically
from trajet.msgpack import extensions_found_once

SPLITS = ("train", "dev", "test")
# Shares of each phenomenon's frames; at least one of each goes to dev and to test.
_HELD_FRAMES = 0.08
_HELD_PLACES = 0.15
# Share of the slots of dev and test that name a place never seen in training.
_UNSEEN_SHARE = 0.3
# The most frequent places are known to everybody: holding Paris out would test nothing.
_NEVER_HELD = 40
_RETRIES = 20


@dataclass(frozen=True)
class SplitTable:
    """What a split holds, one row of the table that `corpus` prints."""

    split: str
    docs: int
    DEP: int
    ARR: int
    one_sided: int
    negatives: int
    frames: int
    places: int
    unseen_places: int
    tokens: int


def blank_pipeline() -> Language:
    """French with the tokenizer that the trained pipeline has."""
    return split_signs(spacy.blank("fr"))


def make_doc(nlp: Language, segments: Sequence[Segment], where: str) -> Doc:
    """Tokenize a sentence and set its entities.

    A document without spans has its entities set to none, which is not the same as missing.

    Raises:
        UserError: a span does not fall on token borders.
    """
    text = "".join(segment.text for segment in segments)
    doc = nlp.make_doc(text)
    spans, start = [], 0
    for segment in segments:
        end = start + len(segment.text)
        if segment.label:
            span = doc.char_span(start, end, label=segment.label)
            if span is None:
                tokens = " ".join(f"[{token.text}]" for token in doc)
                raise UserError(
                    f"{where}: the span {segment.text!r} does not fall on token borders: {tokens}; "
                    "put a space or a sign the tokenizer splits beside it"
                )
            spans.append(span)
        start = end
    doc.ents = spans
    return doc


def split_frames(frames: Sequence[Frame], seed: int) -> dict[str, list[Frame]]:
    """Deal each phenomenon's frames out to the splits: no frame is in two."""
    by_phenomenon: dict[str, list[Frame]] = {}
    for frame in frames:
        by_phenomenon.setdefault(frame.ident.split(":")[0], []).append(frame)
    dealt: dict[str, list[Frame]] = {split: [] for split in SPLITS}
    for name, group in sorted(by_phenomenon.items()):
        order = group[:]
        random.Random(f"{seed}:frames:{name}").shuffle(order)
        held = max(1, round(_HELD_FRAMES * len(order)))
        if len(order) < 3:
            raise UserError(f"corpus/{name}: {len(order)} frame(s); each split needs one of its own, write at least 3")
        dealt["dev"] += order[:held]
        dealt["test"] += order[held : 2 * held]
        dealt["train"] += order[2 * held :]
    return dealt


def hold_out_places(places: dict[str, list[Place]], seed: int) -> tuple[dict[str, list[Place]], dict[str, list[Place]]]:
    """Places that training may use, and places it never names."""
    known: dict[str, list[Place]] = {}
    unseen: dict[str, list[Place]] = {}
    for kind, entries in places.items():
        order = sorted(entries, key=lambda place: (-place.weight, place.name))
        keep = min(_NEVER_HELD, len(order) // 4)
        rest = order[keep:]
        random.Random(f"{seed}:places:{kind}").shuffle(rest)
        held = round(_HELD_PLACES * len(order))
        unseen[kind], known[kind] = rest[:held], order[:keep] + rest[held:]
    return known, unseen


def generate(
    nlp: Language,
    frames: Sequence[Frame],
    count: int,
    pools: Sequence[tuple[float, PlacePool]],
    fillers: dict[str, list[str]],
    rng: random.Random,
    noisy: bool,
) -> Iterator[Doc]:
    """`count` documents, no text twice, every frame about as often as the next.

    Noise belongs to training alone (`noisy`): dev and test hold what the writers wrote.

    Each document's `user_data` has its frame and phenomenon.

    Raises:
        UserError: the frames cannot give so many different sentences.
    """
    seen: set[str] = set()
    made = 0
    while made < count:
        before = made
        for frame in rng.sample(list(frames), len(frames)):
            for _ in range(_RETRIES):
                segments = render(frame, pools, fillers, rng)
                if noisy:
                    segments, doc = disturbed(nlp, segments, frame.ident, rng)
                else:
                    doc = make_doc(nlp, segments, frame.ident)
                text = doc.text
                # A split's first round shows every frame; later a sentence without slots may run out of variants.
                if text.strip() and text not in seen:
                    break
            else:
                continue
            seen.add(text)
            doc.user_data["frame"] = frame.ident
            doc.user_data["phenomenon"] = frame.phenomenon
            doc.user_data["places"] = [s.text for s in segments if s.place]
            yield doc
            made += 1
            if made == count:
                return
        if made == before:
            raise UserError(
                f"the frames give only {made} different sentences of the {count} asked for; write more frames"
            )


def disturbed(
    nlp: Language, segments: list[Segment], where: str, rng: random.Random, habits: Mapping[str, Habit] = HABITS
) -> tuple[list[Segment], Doc]:
    """The noisy sentence, or the clean one where a name and its neighbour have become one token; and its document.

    "Metz-Lens-Lille" is five tokens, "Metz-Les-Lille" one; "Vol." is the tokenizer's abbreviation of volume.

    Raises:
        UserError: the clean sentence does not fall on token borders either.
    """
    noisy = disturb(segments, rng, habits)
    try:
        return noisy, make_doc(nlp, noisy, where)
    except UserError:
        return segments, make_doc(nlp, segments, where)


def build_corpus(corpus: Path, sizes: dict[str, int], seed: int, output: Path | None = None) -> list[SplitTable]:
    """Build and write `train.spacy`, `dev.spacy`, `test.spacy`; returns a table row a split.

    Nothing is written before all three are complete.

    Args:
        corpus: folder of the sources.
        sizes: documents per split.
        seed: one seed, same bytes.
        output: folder to write to, the sources' by default.

    Raises:
        UserError: a bad source, a span off token borders, an unwritable folder.
    """
    corpus, output = Path(corpus), Path(output or corpus)
    for split in SPLITS:
        if sizes[split] < 1:
            raise UserError(f"the size of {split} is {sizes[split]}; it must be at least 1")
    fillers = load_fillers(corpus / "fillers")
    dealt = split_frames(load_frames(corpus, fillers), seed)
    known, unseen = (PlacePool(places) for places in hold_out_places(load_places(corpus / "places"), seed))
    nlp = blank_pipeline()
    bins: dict[str, bytes] = {}
    rows = []
    seen_places: set[str] = set()
    for split in SPLITS:
        pools = [(1.0, known)] if split == "train" else [(1 - _UNSEEN_SHARE, known), (_UNSEEN_SHARE, unseen)]
        docs = list(
            generate(
                nlp, dealt[split], sizes[split], pools, fillers, random.Random(f"{seed}:{split}"), split == "train"
            )
        )
        random.Random(f"{seed}:order:{split}").shuffle(docs)
        rows.append(_table_row(split, docs, seen_places))
        if split == "train":
            seen_places = {place for doc in docs for place in doc.user_data["places"]}
        for doc in docs:
            del doc.user_data["places"]
        with extensions_found_once():
            bins[split] = DocBin(docs=docs, store_user_data=True).to_bytes()
    for split, data in bins.items():
        write_atomically(output / f"{split}.spacy", lambda path, data=data: path.write_bytes(data))
    return rows


def _table_row(split: str, docs: Iterable[Doc], seen_places: set[str]) -> SplitTable:
    docs = list(docs)
    labels = [[entity.label_ for entity in doc.ents] for doc in docs]
    places = {place for doc in docs for place in doc.user_data["places"]}
    return SplitTable(
        split=split,
        docs=len(docs),
        **{label: sum(row.count(label) for row in labels) for label in LABELS},
        one_sided=sum(len(set(row)) == 1 for row in labels),
        negatives=sum(not row for row in labels),
        frames=len({doc.user_data["frame"] for doc in docs}),
        places=len(places),
        unseen_places=len(places - seen_places) if seen_places else 0,
        tokens=sum(len(doc) for doc in docs),
    )
