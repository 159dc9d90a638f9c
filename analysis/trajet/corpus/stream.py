"""Training sentences without end: every time a frame comes round, other places stand in it."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakKeyDictionary

from spacy.language import Language
from spacy.training import Example

from trajet.corpus.build import disturbed, hold_out_places, split_frames
from trajet.corpus.frames import Frame, load_fillers, load_frames
from trajet.corpus.invented import InventedPlaces, chain_names
from trajet.corpus.noise import HABITS, NOISES, Habit
from trajet.corpus.places import fold, load_places
from trajet.corpus.render import PlacePool, Segment, render
from trajet.corpus.roles import set_roles
from trajet.errors import UserError

_SENTENCE_END = (".", "?", "!", "…")
# By pipeline, then by what is asked for: a training makes the reader several times.
_read_for: WeakKeyDictionary[Language, dict[tuple, "_Sources"]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Mix:
    """Shares of what a stream draws.

    Attributes:
        rare: of the slots, those whose place is drawn as if every place were as frequent as the next.
        invented: of the slots, those with an invented name.
        joined: of the requests, those that get a sentence without a request before or after them.
        noise: whether sentences are disturbed, as `trajet.corpus.noise.disturb` does.
        without: noises left out of it, by name.
    """

    rare: float = 0.2
    invented: float = 0.1
    joined: float = 0.1
    noise: bool = True
    without: tuple[str, ...] = ()

    def check(self) -> None:
        for name in ("rare", "invented", "joined"):
            share = getattr(self, name)
            if isinstance(share, bool) or not 0 <= share <= 1:
                raise UserError(f"[corpora]: trajet.Frames.v1: {name} = {share}; it must lie from 0 to 1")
        if self.rare + self.invented > 1:
            raise UserError(
                f"[corpora]: trajet.Frames.v1: rare + invented = {self.rare + self.invented}; together they are 1 at most"
            )
        if unknown := [name for name in self.without if name not in NOISES]:
            raise UserError(
                f"[corpora]: trajet.Frames.v1: without has {unknown[0]!r}; the noises are {', '.join(NOISES)}"
            )

    @property
    def habits(self) -> dict[str, Habit]:
        """What is done to sentences; a habit of several noises keeps the others."""
        return {
            name: replace(habit, noises=tuple(noise for noise in habit.noises if noise not in self.without))
            for name, habit in HABITS.items()
            if self.noise
        }


def frames_reader(
    path: Path, seed: int = 0, draws: int = 0, mix: Mix | None = None, roles: bool = False, share: float = 1.0
) -> Callable[[Language], Iterator[Example]]:
    """The reader `trajet.Frames.v1`: the training frames of `path`, drawn again and again.

    For `max_epochs = -1`. In each round every frame comes once, in a new order, with places, fillers and noise drawn
    anew; frames and places that `build_corpus` holds for dev and test with the same `seed` never come.

    Args:
        path: folder of the sources, `corpus`.
        seed: of the deal into splits, that of the corpus.
        draws: of everything that is drawn while reading; trainings with other draws see other sentences.
        mix: see `Mix`.
        roles: set each token's tag to the role of its place (see trajet.corpus.roles).
        share: of the training frames, the first of a seeded order.

    Raises:
        UserError: a share out of range; when read, a bad source.
    """
    mix = mix or Mix()
    mix.check()
    if isinstance(share, bool) or not 0 < share <= 1:
        raise UserError(f"[corpora]: trajet.Frames.v1: share = {share}; it must lie above 0 and be at most 1")
    what = (Path(path), seed, mix, share)

    def read(nlp: Language) -> Iterator[Example]:
        known = _read_for.setdefault(nlp, {})
        if what not in known:
            known[what] = _load(*what)
        return _examples(nlp, known[what], random.Random(f"{draws}:stream"), mix, roles)

    return read


def training_frames(frames: Sequence[Frame], seed: int, share: float = 1.0) -> list[Frame]:
    """Those of all frames that a stream draws from: dealt to train by `seed`, and of them the `share`."""
    dealt = split_frames(frames, seed)["train"]
    return random.Random(f"{seed}:share").sample(dealt, max(1, round(share * len(dealt)))) if share < 1 else dealt


@dataclass(frozen=True)
class _Sources:
    frames: list[Frame]
    asides: list[Frame]
    pools: list
    fillers: dict[str, list[str]]


def _load(path: Path, seed: int, mix: Mix, share: float) -> _Sources:
    fillers = load_fillers(path / "fillers")
    frames = training_frames(load_frames(path, fillers), seed, share)
    places = load_places(path / "places")
    known, _ = hold_out_places(places, seed)
    taken = {fold(place.name) for entries in places.values() for place in entries}
    pool = PlacePool(known)
    even = PlacePool({kind: [replace(place, weight=1.0) for place in places] for kind, places in known.items()})
    pools = [
        (1 - mix.rare - mix.invented, pool),
        (mix.rare, even),
        (mix.invented, InventedPlaces(chain_names(known["town"]), taken, pool)),
    ]
    # A trap of one whole sentence may stand beside a request without becoming part of it.
    asides = [frame for frame in frames if not frame.labels and frame.source.endswith(_SENTENCE_END)]
    return _Sources(frames, asides, pools, fillers)


def _examples(nlp: Language, sources: _Sources, rng: random.Random, mix: Mix, roles: bool) -> Iterator[Example]:
    habits = mix.habits
    while True:
        for frame in rng.sample(sources.frames, len(sources.frames)):
            segments = render(frame, sources.pools, sources.fillers, rng)
            if frame.labels and sources.asides and rng.random() < mix.joined:
                aside = render(rng.choice(sources.asides), sources.pools, sources.fillers, rng)
                segments = _join(segments, aside, rng)
            try:
                segments, doc = disturbed(nlp, segments, frame.ident, rng, habits)
            except UserError:
                # An invented name may run together with what stands beside it; the next draw has another.
                continue
            if not len(doc):
                continue
            if roles:
                set_roles(doc, segments)
            yield Example(nlp.make_doc(doc.text), doc)


def _join(segments: list[Segment], aside: list[Segment], rng: random.Random) -> list[Segment]:
    if rng.random() < 0.5:
        return [*aside, Segment(" "), *segments]
    text = "".join(segment.text for segment in segments).rstrip()
    return [*segments, Segment(" " if text.endswith(_SENTENCE_END) else ". "), *aside]
