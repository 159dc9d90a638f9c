"""Whether a sentence is French, by the optional package py3langid (extra `language`).

A request is mostly names of places, and those look like any language; a message on a phone is hardly like any.
So the detector has to be very sure before a sentence is turned away; docs/resolve.md says how the bound was chosen.
"""

import re
from collections.abc import Callable

# What travellers in France are likely to write. With all 140 languages of the package, messages without
# accents are taken for creoles and regional languages.
LANGUAGES = ("fr", "en", "de", "es", "it", "nl", "pt", "pl", "ro", "tr", "sv", "cs", "ru", "el", "ar", "zh", "ja")
THRESHOLD = 0.8
MIN_WORDS = 3

# A run of Latin letters is a word; other scripts may not space theirs.
_WORD = re.compile(r"[a-zA-ZÀ-ÖØ-öø-ɏ]+|[^\W\d_]")


def french_detector() -> Callable[[str], bool] | None:
    """A function that tells French text from other text, or None where py3langid is not installed.

    French is what has less than 3 words, or what is in no other of 16 languages with a probability of 0.8.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        return None
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(LANGUAGES)

    def is_french(text: str) -> bool:
        if len(_WORD.findall(text)) < MIN_WORDS:
            return True
        language, probability = identifier.classify(text)
        return language == "fr" or probability < THRESHOLD

    return is_french
