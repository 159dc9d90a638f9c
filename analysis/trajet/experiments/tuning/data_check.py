"""What is looked at before anything is trained: the splits as the model gets them."""

from collections import Counter
from pathlib import Path

import spacy
from spacy.tokens import Doc, DocBin

from trajet.errors import UserError
from trajet.msgpack import extensions_found_once


def check_splits(paths: dict[str, Path], lang: str = "fr") -> list[str]:
    """What was seen, a sentence each.

    Args:
        paths: "train", "dev" and, if there is one, "test": .spacy files.
        lang: language of the documents.

    Raises:
        UserError: a file is missing or empty; frames or texts stand in two splits; a label is in dev but not in train.
    """
    splits = {name: _read(path, lang) for name, path in paths.items()}
    labels = {name: Counter(ent.label_ for doc in docs for ent in doc.ents) for name, docs in splits.items()}
    seen = []
    for name, docs in splits.items():
        empty = sum(not doc.ents for doc in docs)
        spans = ", ".join(f"{count:,} {label}" for label, count in sorted(labels[name].items()))
        seen.append(
            f"{name}: {len(docs):,} documents, {sum(map(len, docs)):,} tokens (the longest {max(map(len, docs))}), {spans}; "
            f"{empty / len(docs):.0%} have no entity: what a model that never finds one gets wholly right."
        )
    for what, of in (("frames", _frame), ("texts", lambda doc: doc.text)):
        seen.append(_shared(splits, what, of))
    for name in splits:
        unknown = sorted(labels[name].keys() - labels["train"].keys())
        if unknown:
            raise UserError(f"{paths[name]}: {', '.join(unknown)} cannot be learnt: no such label in {paths['train']}")
    seen.append(f"Labels: {', '.join(sorted(labels['train']))} in training; no other elsewhere.")
    return seen


def _read(path: Path, lang: str) -> list[Doc]:
    if not path.is_file():
        raise UserError(f"{path}: no such corpus; `python -m spacy project run corpus` builds it")
    try:
        with extensions_found_once():
            docs = list(DocBin(store_user_data=True).from_disk(path).get_docs(spacy.blank(lang).vocab))
    except Exception as error:  # zlib, msgpack and spaCy raise what they like
        raise UserError(f"{path}: not a .spacy file: {' '.join(str(error).split())[:200]}") from None
    if not docs:
        raise UserError(f"{path}: no documents; build the corpus again")
    return docs


def _frame(doc: Doc) -> str | None:
    return doc.user_data.get("frame")


def _shared(splits: dict[str, list[Doc]], what: str, of) -> str:
    homes: dict[str, str] = {}
    for name, docs in splits.items():
        for doc in docs:
            value = of(doc)
            if value is not None and homes.setdefault(value, name) != name:
                raise UserError(
                    f"{name} and {homes[value]} share {what}, {value!r} for one: scores would say nothing; build the corpus again"
                )
    return f"No two splits share {what}."
