"""Passages of a page that are made from data."""

import re

import pytest

from mfmarl.scripting.documents import fill, passages

PAGE = """# A page

<!-- begin: claims -->
old
<!-- end: claims -->

Prose.

<!-- begin: table -->
<!-- end: table -->
"""


def test_a_passage_is_replaced_and_the_rest_stays() -> None:
    filled = fill(PAGE, {"claims": "| a |\n| b |"})
    assert passages(filled) == {"claims": "| a |\n| b |", "table": ""}
    assert filled.startswith("# A page\n\n<!-- begin: claims -->\n\n| a |\n| b |\n\n<!-- end: claims -->\n\nProse.\n")


def test_filling_twice_changes_nothing_more() -> None:
    once = fill(PAGE, {"claims": r"a \1 backslash", "table": "1"})
    assert fill(once, {"claims": r"a \1 backslash", "table": "1"}) == once
    assert fill(once, {}) == once


def test_an_unknown_passage_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("got none named ['verdicts']")):
        fill(PAGE, {"verdicts": "x"})


@pytest.mark.parametrize(
    "page", [PAGE + PAGE, "<!-- begin: claims -->\nno end\n", PAGE.replace("end: claims", "end: x")]
)
def test_a_page_with_broken_comments_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="begin each passage once and end it"):
        passages(page)
