"""Generated passages of a Markdown page, each between two comments with its name.

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
        ValueError: a name occurs twice, or a passage does not end.
    """
    found = [(match["name"], match["text"].strip()) for match in PASSAGE.finditer(page)]
    begun = re.findall(r"<!-- begin: ([\w-]+) -->", page)
    if sorted(begun) != sorted({name for name, _ in found}):
        raise ValueError(
            f"page must begin each passage once and end it, got {begun} and the ends of {[name for name, _ in found]}"
        )
    return dict(found)


def fill(page: str, texts: Mapping[str, str]) -> str:
    """Replace passages of a page by new texts, given by name; other passages stay.

    Raises:
        ValueError: the page has no passage of a given name, or its passages are malformed, see `passages`.
    """
    if missing := sorted(set(texts) - set(passages(page))):
        raise ValueError(f"page must have a passage of each text, got none named {missing}")

    def filled(match: re.Match[str]) -> str:
        name = match["name"]
        text = texts.get(name, match["text"]).strip()
        return f"<!-- begin: {name} -->\n\n{text}\n\n<!-- end: {name} -->"

    return PASSAGE.sub(filled, page)
