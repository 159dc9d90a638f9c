"""Everything spaCy can name in a config: `trajet.Name.v1`. Reached through entry points."""

from spacy.language import Language
from spacy.util import registry

from trajet.corpus.tokenizer import split_signs as _split_signs


@registry.callbacks("trajet.SplitSigns.v1")
def split_signs():
    """For `[initialize.before_init]`: arrows, signs and brackets between letters become tokens of their own."""

    def callback(nlp: Language) -> Language:
        return _split_signs(nlp)

    return callback
