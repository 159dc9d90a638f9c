"""Signs between places split, names stay whole, and the saved tokenizer needs none of our code."""

from pathlib import Path

import pytest
import spacy

from trajet.corpus.build import blank_pipeline

SPLIT = {
    "VERS PARIS 14E.": "VERS PARIS 14E .",
    "Lyon→Nice": "Lyon → Nice",
    "Metz->Nancy": "Metz -> Nancy",
    "Metz=>Nancy": "Metz => Nancy",
    "Metz>Nancy": "Metz > Nancy",
    "Paris➡️Nice": "Paris ➡️ Nice",
    "Tours/Blois": "Tours / Blois",
    "Paris-Lyon": "Paris - Lyon",
    "paris-lyon": "paris - lyon",
    "Nantes(44)": "Nantes ( 44 )",
    "Paris|Nice": "Paris | Nice",
    "→Paris": "→ Paris",
    "d'Angers": "d' Angers",
    "Saint-Étienne,": "Saint-Étienne ,",
    "Saint-Malo-Rennes": "Saint - Malo - Rennes",
    "Bourg-Lyon": "Bourg - Lyon",
    "d'aurec-sur-loire": "d' aurec-sur-loire",
    "TgV.": "TgV .",
    "PariS.": "PariS .",
    "M.": "M.",
}
WHOLE = [
    "Saint-Malo",
    "saint-malo",
    "St-Malo",
    "Aix-en-Provence",
    "Villeneuve-d'Ascq",
    "Saint-Germain-des-Prés",
    "Noisy-le-Grand",
]


@pytest.mark.parametrize(("text", "tokens"), SPLIT.items())
def test_signs_split(text: str, tokens: str) -> None:
    assert " ".join(token.text for token in blank_pipeline()(text)) == tokens


@pytest.mark.parametrize("name", WHOLE)
def test_names_stay_whole(name: str) -> None:
    assert [token.text for token in blank_pipeline()(f"de {name} ?")] == ["de", name, "?"]


def test_the_rules_are_saved_with_the_tokenizer(tmp_path: Path) -> None:
    blank_pipeline().to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    for text, tokens in SPLIT.items():
        assert " ".join(token.text for token in loaded(text)) == tokens
