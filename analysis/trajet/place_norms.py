"""Known places share one normal form, so that the embedding of the word says "a place" and not which.

spaCy keeps a table `lexeme_norm` (word -> normal form) in the vocabulary and saves it there: a trained pipeline needs
no code of ours. The feature NORM of a known town is then the same for Paris and for Pontarlier; what is left of the name
is its first letter, its ending and its shape.
"""

from collections.abc import Iterable
from pathlib import Path

from spacy.attrs import NORM
from spacy.lang.lex_attrs import LEX_ATTRS
from spacy.language import Language
from spacy.util import add_lookups

from trajet.corpus.build import blank_pipeline
from trajet.corpus.frames import Frame, load_fillers, load_frames
from trajet.corpus.noise import strip_accents
from trajet.corpus.places import Place, load_places

PLACE_NORM = "#lieu"
TABLE = "lexeme_norm"


def set_place_norms(nlp: Language, corpus: Path) -> Language:
    """Give every known place of one word the norm `#lieu`; returns `nlp`, changed in place.

    Raises:
        UserError: a bad source.
    """
    corpus = Path(corpus)
    places = [place for group in load_places(corpus / "places").values() for place in group]
    frames = load_frames(corpus, load_fillers(corpus / "fillers"))
    table = dict.fromkeys(sorted(place_forms(places, ordinary_words(frames))), PLACE_NORM)
    lookups = nlp.vocab.lookups
    if lookups.has_table(TABLE):
        lookups.get_table(TABLE).update(table)
    else:
        lookups.add_table(TABLE, table)
    getters = nlp.vocab.lex_attr_getters
    getters[NORM] = add_lookups(getters.get(NORM, LEX_ATTRS[NORM]), lookups.get_table(TABLE))
    for form in table:
        # A lexeme keeps the norm it was made with.
        if form in nlp.vocab:
            nlp.vocab[form].norm_ = PLACE_NORM
    return nlp


def ordinary_words(frames: Iterable[Frame]) -> set[str]:
    """Words that the frames write in small letters: "tours", "sens", "nord" are no places there."""
    # Not `trajet.judge.gazetteer.ordinary_words`: the table is keyed by the pipeline's tokens as they are written, the
    # rules go by folded words, of choices and fillers, too. Trained pipelines have this table; it stays as it is.
    nlp = blank_pipeline()
    # Each stretch without spaces once: the tokenizer splits there first, and most of them come again and again.
    texts = {text for frame in frames for piece in frame.pieces if isinstance(piece, str) for text in piece.split()}
    return {token.text for doc in nlp.tokenizer.pipe(texts) for token in doc if token.text.islower()}


def place_forms(places: Iterable[Place], ordinary: set[str]) -> set[str]:
    """How names that are one token are written: as they are, without accents, in small and in capital letters."""
    nlp = blank_pipeline()
    bare = {strip_accents(word) for word in ordinary}
    forms = set()
    for place in places:
        name = place.name.split(" ", 1)[1] if place.name.startswith(("Le ", "La ", "Les ")) else place.name
        if len(name) < 3 or len(nlp.tokenizer(name)) != 1:
            continue
        for form in (name, strip_accents(name)):
            forms |= {form, form.upper()}
            if form.lower() not in ordinary and form.lower() not in bare:
                forms.add(form.lower())
    return forms
