"""What we change in spaCy's French tokenizer, so that every place falls on token borders.

For spaCy's French rules "Metz→Nancy", "Metz->Nancy" and "Nantes(44)" are single tokens, and so is whatever
follows a prefix such as saint-, bourg- or villers- ("Saint-Malo-Rennes"): a span that ends inside would be
lost. The rules live in the tokenizer that is saved with the pipeline; loading it needs nothing of ours.
"""

import re

from spacy.language import Language
from spacy.util import compile_infix_regex, compile_prefix_regex, compile_suffix_regex

ARROWS = r"(?:<?[-=–—]+>|<[-=]+|[→⇒⟶➔➜➡↔⇄⟷↣»•▶►←]\uFE0F?)"
# A variation selector after an emoji would stick to the next word.
_SIGNS = rf"(?:{ARROWS}|[|;&+_\u2010\u2011\u2212]|[✈🚄🚆🚌🚗]\uFE0F?|\uFE0F)"
_BRACKETS = r"[()\[\]{}]"
_WORD = r"[^\W\d_]+(?:['’][^\W\d_]+)?"
_LINK = r"-(?:(?:de|en|sur|sous|à)-(?:la|les?)|en|de|du|des|la|les?|lès|lez|sur|sous|aux?|à|et|près)-|-d['’]"
# One name stays one token: Saint-Malo, Aix-en-Provence, Saint-Germain-des-Prés; two names do not.
# A hyphen counts as part of a name only after Saint or beside a linking word.
# The flags stand in the pattern: spaCy saves its text alone.
_ONE_NAME = re.compile(
    rf"(?iu)^(?:(?:saint|sainte|st|ste)-{_WORD}(?:(?:{_LINK}){_WORD})*|[^\W\d_]+(?:(?:{_LINK}){_WORD})+)$"
)
_INITIAL = re.compile(r"^[^\W\d_]\.$")


def split_signs(nlp: Language) -> Language:
    """Split signs between words and hyphens between two names; returns `nlp`, changed in place."""
    tokenizer = nlp.tokenizer
    defaults = nlp.Defaults
    letter = r"[^\W\d_]"
    infixes = [
        rf"(?<=\w){_SIGNS}(?=\w)",
        rf"(?<={letter}){_BRACKETS}(?=\w)",
        rf"(?<=\w){_BRACKETS}(?={letter})",
        r"\uFE0F",
    ]
    tokenizer.infix_finditer = compile_infix_regex([*infixes, *(defaults.infixes or [])]).finditer
    tokenizer.prefix_search = compile_prefix_regex([*(defaults.prefixes or []), ARROWS, r"\uFE0F"]).search
    # spaCy splits a dot after a small letter or two capitals: a typo ("TgV.", "PariS.") is neither, nor is "PARIS 14E."
    tokenizer.suffix_search = compile_suffix_regex(
        [
            *(defaults.suffixes or []),
            ARROWS,
            r"\uFE0F",
            r"(?<=['’]\w)\.",
            rf"(?<={letter}{letter})\.",
            rf"(?<=\d{letter})\.",
        ]
    ).search
    tokenizer.token_match = _ONE_NAME.match
    # "h." is an initial for spaCy, so the sentence's last dot would stay in "Plouezoc'h."
    tokenizer.rules = {text: rule for text, rule in tokenizer.rules.items() if not _INITIAL.match(text)}
    return nlp
