"""A .spacy file read and written with one search for msgpack extensions."""

from collections.abc import Callable

import pytest
import spacy
import srsly
from spacy.tokens import DocBin

from trajet.msgpack import extensions_found_once


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Filled with a name whenever somebody searches."""
    seen: list[str] = []

    def counting(name: str, search: Callable) -> Callable:
        return lambda: seen.append(name) or search()

    for name in ("msgpack_encoders", "msgpack_decoders"):
        registry = getattr(srsly, name)
        monkeypatch.setattr(registry, "get_all", counting(name, registry.get_all))
    return seen


def _bytes(count: int) -> bytes:
    nlp = spacy.blank("fr")
    docs = list(nlp.pipe(["De Metz à Nancy"] * count))
    for number, doc in enumerate(docs):
        doc.user_data["frame"] = f"plain:{number}"
    return DocBin(docs=docs, store_user_data=True).to_bytes()


def test_documents_are_the_same_after_one_search(searches: list[str]) -> None:
    plain = _bytes(20)
    # One a document, and one for the bin: if not, srsly has learnt to remember and this module may go.
    assert searches.count("msgpack_encoders") > 20
    searches.clear()
    with extensions_found_once():
        assert _bytes(20) == plain
        docs = list(DocBin().from_bytes(plain).get_docs(spacy.blank("fr").vocab))
    assert searches == ["msgpack_encoders", "msgpack_decoders"]
    assert [doc.user_data["frame"] for doc in docs] == [f"plain:{number}" for number in range(20)]


def test_afterwards_srsly_searches_again(searches: list[str]) -> None:
    with pytest.raises(KeyError), extensions_found_once(), extensions_found_once():
        raise KeyError
    searches.clear()
    assert srsly.msgpack_loads(srsly.msgpack_dumps({"a": 1})) == {"a": 1}
    assert sorted(searches) == ["msgpack_decoders", "msgpack_encoders"]
