"""Known places share one norm, which is saved with the vocabulary."""

import subprocess
import sys
from pathlib import Path

import pytest
import spacy

from tests.corpus.small_sources import small_sources
from trajet.corpus.places import Place
from trajet.corpus.tokenizer import split_signs
from trajet.errors import UserError
from trajet.place_norms import PLACE_NORM, place_forms, set_place_norms


@pytest.fixture(scope="module")
def nlp(tmp_path_factory: pytest.TempPathFactory):
    made = split_signs(spacy.blank("fr"))
    made("Pontarlier")  # a lexeme made before the table
    return set_place_norms(made, small_sources(tmp_path_factory.mktemp("sources")))


def _norms(nlp, text: str) -> list[str]:
    return [token.norm_ for token in nlp(text)]


def test_every_way_to_write_a_known_place_has_the_same_norm(nlp) -> None:
    for text in ("Pontarlier", "pontarlier", "PONTARLIER", "Saint-Étienne", "saint-etienne", "Nîmes", "nimes", "Havre"):
        assert _norms(nlp, text) == [PLACE_NORM], text


def test_other_words_keep_theirs(nlp) -> None:
    assert _norms(nlp, "Je veux un billet pour demain") == ["je", "veux", "un", "billet", "pour", "demain"]


def test_a_word_that_the_frames_write_small_is_a_place_only_with_a_capital() -> None:
    forms = place_forms(
        [Place("Tours", "town", 1.0), Place("Le Mans", "town", 1.0), Place("Eu", "town", 1.0)], {"tours"}
    )
    assert forms == {"Tours", "TOURS", "Mans", "mans", "MANS"}


def test_the_table_is_saved_and_needs_no_code_of_ours(nlp, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "saved")
    code = (
        "import spacy, sys; nlp = spacy.load(sys.argv[1]);"
        "print(*[t.norm_ for t in nlp('De Pontarlier vers Foobarville')], 'trajet' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "saved")], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["de", PLACE_NORM, "vers", "foobarville", "False"]


def test_missing_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        set_place_norms(spacy.blank("fr"), tmp_path)
