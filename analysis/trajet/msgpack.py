"""Many documents packed and unpacked without a search for msgpack extensions at each."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import srsly


@contextmanager
def extensions_found_once() -> Iterator[None]:
    """Within it srsly looks for its msgpack extensions once.

    srsly packs a document's user data by itself and asks each time which extensions there are, a search through all
    functions and entry points that any package has registered: nine tenths of the time that a `.spacy` file with user
    data takes to be read. What is read and written is the same; an extension registered within is not seen.
    """
    registries = (srsly.msgpack_encoders, srsly.msgpack_decoders)
    searches = [registry.get_all for registry in registries]
    for registry, search in zip(registries, searches, strict=True):
        registry.get_all = functools.partial(dict, search())
    try:
        yield
    finally:
        for registry, search in zip(registries, searches, strict=True):
            registry.get_all = search
