"""Passages of a Markdown page that are made from data: each stands between two comments that name it.

<!-- begin: claims -->
| claim | verdict |
<!-- end: claims -->
"""

import re
from collections.abc import Mapping

PASSAGE = re.compile(r"<!-- begin: (?P<name>[\w-]+) -->\n(?P<text>.*?)<!-- end: (?P=name) -->", re.DOTALL)


def passages(page: str) -> dict[str, str]:
    """The passages of a page, by name.

    Raises:
        ValueError: a name stands twice, or a passage does not end.
    """
    found = [(match["name"], match["text"].strip()) for match in PASSAGE.finditer(page)]
    begun = re.findall(r"<!-- begin: ([\w-]+) -->", page)
    if sorted(begun) != sorted({name for name, _ in found}):
        raise ValueError(
            f"page must begin each passage once and end it, got {begun} and the ends of {[name for name, _ in found]}"
        )
    return dict(found)


def fill(page: str, texts: Mapping[str, str]) -> str:
    """The page with its passages replaced by the texts of their names; what is not named stays.

    Raises:
        ValueError: the page has no passage of such a name, or `passages` refuses it.
    """
    if missing := sorted(set(texts) - set(passages(page))):
        raise ValueError(f"page must have a passage of each text, got none named {missing}")

    def filled(match: re.Match[str]) -> str:
        name = match["name"]
        text = texts.get(name, match["text"]).strip()
        return f"<!-- begin: {name} -->\n\n{text}\n\n<!-- end: {name} -->"

    return PASSAGE.sub(filled, page)
