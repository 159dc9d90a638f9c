"""Tables and the marked stretches of a page."""

from pathlib import Path

import pytest

from trajet.errors import UserError
from trajet.markdown import check_section, table, write_section


def test_a_table_by_hand() -> None:
    rows = [("a|b", 3, 0.12345, None), ("total", 4, 1.0, "x\ny")]
    assert table(("", "n", "F", "note"), rows) == (
        "|  | n | F | note |\n| --- | ---: | ---: | ---: |\n| a\\|b | 3 | 0.123 |  |\n| total | 4 | 1.000 | x y |"
    )


def test_a_section_is_made_filled_and_filled_again(tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.md"
    check_section(page, "scores")
    write_section(page, "scores", "| 1 |")
    assert page.read_text(encoding="utf8") == "<!-- scores -->\n| 1 |\n<!-- /scores -->\n"
    page.write_text(
        "# `<!-- scores -->` mine\n<!-- other -->\n<!-- /other -->\n" + page.read_text(encoding="utf8") + "end\n",
        encoding="utf8",
    )
    write_section(page, "scores", r"| \1 |")
    write_section(page, "other", "o")
    text = page.read_text(encoding="utf8")
    assert (
        text
        == "# `<!-- scores -->` mine\n<!-- other -->\no\n<!-- /other -->\n<!-- scores -->\n| \\1 |\n<!-- /scores -->\nend\n"
    )
    write_section(page, "scores", "")
    assert "<!-- scores -->\n<!-- /scores -->" in page.read_text(encoding="utf8")


@pytest.mark.parametrize(
    "text",
    [
        "# A page of mine",
        "<!-- a -->",
        "<!-- /a --> <!-- a -->",
        "write <!-- a --> and <!-- /a -->",
        "<!-- a -->\n<!-- /a -->\n" * 2,
    ],
)
def test_a_page_without_the_marks_is_left_alone(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf8")
    for attempt in (lambda: check_section(page, "a"), lambda: write_section(page, "a", "x")):
        with pytest.raises(UserError, match=r"page\.md: needs the marks <!-- a --> and <!-- /a --> once"):
            attempt()
    assert page.read_text(encoding="utf8") == text
