"""What a search trains on and judges on: settings of a study, and the documents they choose."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from trajet.errors import UserError
from trajet.experiments.search.space import SearchSpace
from trajet.files import write_atomically
from trajet.msgpack import extensions_found_once
from trajet.training.share import share_reader

REST, DEV = "rest", "dev"


@dataclass(frozen=True)
class SearchSettings:
    """How the points of a search are trained and judged.

    Attributes:
        share: of the training documents that is trained on, above 0 and below 1 (at most 1 with DEV).
        validate: REST, documents that the share leaves, or DEV, the dev split.
        documents: how many of them are judged on; 0 for all.
        seed: of the points, of the choice of documents and of every training.
    """

    share: float = 0.05
    validate: str = REST
    documents: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or (self.share == 1 and self.validate == REST):
            raise UserError(f"--share {self.share:g}: must lie between 0 and 1 (1 with --validate {DEV} only)")


class Documents(NamedTuple):
    """What is trained on and judged on."""

    paths: dict[str, Path]  # for [paths]: train and dev
    trained: int
    judged: int
    judged_of: int  # that they were chosen from


def write_documents(space: SearchSpace, settings: SearchSettings, folder: Path) -> Documents:
    """Write the documents that are trained on and judged on to files of their own.

    They are those that the reader `trajet.Share.v1` gives. The reader itself would read and tokenize the whole split
    for each evaluation, which takes longer than the training in between.

    Args:
        space: whose base config names the splits under [paths].
        settings: which documents.
        folder: the files go to folder/data, named after the settings.
    Raises:
        UserError: a split is missing, or no documents are left to judge on.
    """
    paths = space.config(space.first_point(), settings.seed)["paths"]
    train, seed = _read(paths, "train"), settings.seed
    trained = _share(train, settings.share, seed)
    judged = left = _share(train, settings.share, seed, rest=True) if settings.validate == REST else _read(paths, "dev")
    if 0 < settings.documents < len(left):
        judged = _share(left, settings.documents / len(left), seed)
    stem = f"{settings.share:g}-seed{seed}"
    files = {
        "train": _write(trained, folder / "data" / f"train-{stem}.spacy"),
        "dev": _write(judged, folder / "data" / f"{settings.validate}-{len(judged)}-{stem}.spacy"),
    }
    return Documents(files, len(trained), len(judged), len(left))


def _share(docs: list[Doc], share: float, seed: int, rest: bool = False) -> list[Doc]:
    # The reader hands on whatever it is given.
    return list(share_reader(lambda _: docs, share, seed, rest)(None))  # type: ignore[arg-type, return-value]


def _read(paths: Mapping[str, str], split: str) -> list[Doc]:
    path = Path(paths.get(split) or "")
    try:
        with extensions_found_once():
            return list(DocBin().from_disk(path).get_docs(Vocab()))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a .spacy file"
        raise UserError(f"{path}: no corpus there ({reason}); run `python -m spacy project run corpus` first") from None


def _write(docs: list[Doc], path: Path) -> Path:
    with extensions_found_once():
        content = DocBin(docs=docs, store_user_data=True).to_bytes()
    return write_atomically(path, lambda temporary: temporary.write_bytes(content))
