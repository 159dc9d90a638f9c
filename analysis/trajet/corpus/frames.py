"""Reading sentence frames and filler lists; every mistake in them gets its file and line."""

import re
from dataclasses import dataclass
from pathlib import Path

from trajet.corpus.places import KINDS, fold
from trajet.errors import UserError
from trajet.files import read_text

LABELS = ("DEP", "ARR")
_ROLES = (*LABELS, "PLACE")
_PREPOSITIONS = {"de": "de", "à": "à", "a": "à"}
_TOKEN = re.compile(r"\{([^{}]*)\}|<([^<>{}]*\|[^<>{}]*)>")
_SLOT = re.compile(r"^(?:(?P<prep>[^\W\d_]+):)?(?P<role>[A-Z]+)(?:\|(?P<kind>\w+))?(?:#(?P<number>\d+))?$")
_BARE_LABEL = re.compile(r"\b(DEP|ARR)\b")


@dataclass(frozen=True)
class Slot:
    """A place to fill: its role, the preposition before it, the kind asked for, its number."""

    role: str
    preposition: str = ""
    capital: bool = False
    kind: str = ""
    number: str = ""

    @property
    def label(self) -> str:
        """DEP, ARR, or "" for a place that plays no role."""
        return self.role if self.role in LABELS else ""


@dataclass(frozen=True)
class Filler:
    """A small list to draw from, by name."""

    name: str


@dataclass(frozen=True)
class Choice:
    """Alternatives of plain text."""

    options: tuple[str, ...]


Piece = str | Slot | Filler | Choice


@dataclass(frozen=True)
class Frame:
    """One sentence with slots.

    Attributes:
        ident: "frames/plain.txt:12", unique; the unit that splits never share.
        phenomenon: the stem of its file.
        pieces: text, slots, fillers and choices in order.
    """

    ident: str
    phenomenon: str
    source: str
    pieces: tuple[Piece, ...]

    @property
    def slots(self) -> list[Slot]:
        return [piece for piece in self.pieces if isinstance(piece, Slot)]

    @property
    def labels(self) -> set[str]:
        return {slot.label for slot in self.slots} - {""}


def load_fillers(folder: Path) -> dict[str, list[str]]:
    """The lists of `folder/*.txt` by stem.

    Raises:
        UserError: the folder has no list, or a list no entry.
    """
    fillers = {}
    for path in _sources(folder, "one filler list a file"):
        entries = [line.strip() for line in read_text(path, "").splitlines()]
        fillers[path.stem] = [entry for entry in entries if entry and not entry.startswith("#")]
        if not fillers[path.stem]:
            raise UserError(f"{path}: no entry; write one a line or remove the file")
    return fillers


def load_frames(corpus: Path, fillers: dict[str, list[str]]) -> list[Frame]:
    """All frames of `corpus/frames` and `corpus/negatives`, in file and line order.

    Raises:
        UserError: a bad frame (its file:line), two frames alike after folding case, accents
            and punctuation (both lines), a positive frame without a label, a negative with one.
    """
    frames: list[Frame] = []
    seen: dict[str, str] = {}
    for name, positive in (("frames", True), ("negatives", False)):
        for path in _sources(Path(corpus) / name, "one phenomenon a file"):
            for number, line in enumerate(read_text(path, "").splitlines(), 1):
                if not line.strip() or line.startswith("#"):
                    continue
                where = f"{path}:{number}"
                frame = Frame(
                    f"{name}/{path.name}:{number}", path.stem, line.strip(), parse(line.strip(), where, fillers)
                )
                if positive and not frame.labels:
                    raise UserError(
                        f"{where}: a request needs a {{DEP}} or {{ARR}} slot; without one it belongs in negatives/"
                    )
                if not positive and frame.labels:
                    raise UserError(f"{where}: a negative may not label {sorted(frame.labels)[0]}; write {{PLACE}}")
                key = folded(frame)
                if key in seen:
                    raise UserError(
                        f"{where}: the same frame as {seen[key]} but for case, accents and punctuation; remove one"
                    )
                seen[key] = where
                frames.append(frame)
    return frames


def parse(line: str, where: str, fillers: dict[str, list[str]]) -> tuple[Piece, ...]:
    """The pieces of one frame.

    Raises:
        UserError: an unclosed or stray brace, an unknown slot, kind or preposition, a label outside a slot.
    """
    pieces: list[Piece] = []
    end = 0
    for match in _TOKEN.finditer(line):
        _add_text(pieces, line[end : match.start()], where)
        end = match.end()
        if match[2] is not None:
            pieces.append(Choice(tuple(match[2].split("|"))))
            for option in pieces[-1].options:
                _check_text(option, where)
        else:
            pieces.append(_slot(match[1], where, fillers))
    _add_text(pieces, line[end:], where)
    return tuple(pieces)


def folded(frame: Frame) -> str:
    """What two frames must not share: the text folded, slots by role, fillers by name."""
    parts = []
    for position, piece in enumerate(frame.pieces):
        if isinstance(piece, Slot):
            parts.append(f"{{{piece.role}}}")
        elif isinstance(piece, Filler):
            parts.append(f"{{{piece.name}}}")
        elif isinstance(piece, Choice):
            parts.append("|".join(fold(option) for option in piece.options))
        else:
            # Signs alone between two slots count: "{DEP} → {ARR}" is not "{DEP} {ARR}"; at the ends they do not.
            inner = 0 < position < len(frame.pieces) - 1
            parts.append(fold(piece) or (piece.strip() if inner or len(frame.pieces) == 1 else ""))
    return "".join(parts)


def _sources(folder: Path, what: str) -> list[Path]:
    paths = sorted(Path(folder).glob("*.txt"))
    if not paths:
        raise UserError(f"{folder}: no .txt file; {what} belongs there")
    return paths


def _add_text(pieces: list[Piece], text: str, where: str) -> None:
    if text:
        _check_text(text, where)
        pieces.append(text)


def _check_text(text: str, where: str) -> None:
    if "{" in text:
        raise UserError(
            f"{where}: a brace is opened and not closed: {text[text.index('{') :][:30]!r}; close it with }}"
        )
    if "}" in text:
        raise UserError(f"{where}: a brace is closed that was not opened: {text[: text.index('}') + 1][-30:]!r}")
    if match := _BARE_LABEL.search(text):
        raise UserError(f"{where}: the label {match[0]} stands outside a slot; write {{{match[0]}}}")


def _slot(text: str, where: str, fillers: dict[str, list[str]]) -> Piece:
    if text in fillers:
        return Filler(text)
    match = _SLOT.match(text)
    if not match:
        known = ", ".join(sorted(fillers))
        raise UserError(f"{where}: unknown slot {{{text}}}; places are DEP, ARR and PLACE, fillers are {known}")
    role, kind, preposition = match["role"], match["kind"] or "", match["prep"] or ""
    if role not in _ROLES:
        raise UserError(f"{where}: unknown slot {{{text}}}: {role} is none of {', '.join(_ROLES)}")
    if kind and kind not in KINDS:
        raise UserError(f"{where}: unknown kind of place {kind!r} in {{{text}}}; kinds are {', '.join(KINDS)}")
    if preposition and preposition.lower() not in _PREPOSITIONS:
        raise UserError(f"{where}: unknown preposition {preposition!r} in {{{text}}}; write de: or à:")
    return Slot(
        role, _PREPOSITIONS.get(preposition.lower(), ""), preposition[:1].isupper(), kind, match["number"] or ""
    )
