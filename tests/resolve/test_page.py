"""docs/resolve.md says what the code does."""

from tests.conftest import ROOT
from trajet.resolve import canonical, language, lines
from trajet.resolve.orders import STATUSES, Settings


def test_the_page_shows_the_file_and_the_numbers_in_force() -> None:
    page = (ROOT / "docs" / "resolve.md").read_text(encoding="utf8")
    assert f"```\n{(ROOT / 'corpus' / 'requests.csv').read_text(encoding='utf8')}```" in page
    assert f"more than {lines.LONGEST:,} bytes" in page
    assert f"{Settings().batch} at a time" in page
    assert f"from {canonical.LETTERS_FOR_ONE} letters on, two from {canonical.LETTERS_FOR_TWO} on" in page
    assert f"probability of {language.THRESHOLD}" in page
    assert (canonical.DOMINANCE, language.MIN_WORDS, len(language.LANGUAGES)) == (10, 3, 17)
    assert "must be ten times as frequent" in page
    assert "fewer than three other words" in page
    assert "one of 16\nother languages" in page
    assert all(f"`{status}`" in page for status in STATUSES[1:])
