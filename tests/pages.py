"""Pages read as a reader does: their links and pictures, and the commands and code in them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(ROOT.glob("docs/*.md")),
    ROOT / "examples/README.md",
    *sorted(ROOT.glob("results/*/README.md")),
]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of a page in one of the languages."""
    return [block for language, block in FENCED.findall(text) if language in languages]


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command in a fenced block of a page."""
    for block in blocks(text, "bash", ""):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words:
                yield words


def cells(text: str) -> Iterator[list[str]]:
    """The words of every command in a table of a page."""
    for command in re.findall(r"^\| `(python reproduce/[^`]*)`", text, re.M):
        yield shlex.split(command)


def is_script(words: list[str]) -> bool:
    """Whether a command calls a script of ours."""
    return words[0].endswith("python") and len(words) > 1 and re.match(r"(reproduce|benchmarks)/", words[1]) is not None


def links(text: str) -> list[str]:
    """Where the links and pictures of a page lead."""
    return re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", text))


def pictures(text: str) -> list[tuple[str, str]]:
    """The alternative text and the file of each picture of a page."""
    return re.findall(r"!\[(.*?)\]\(([^)\s]+)\)", text, re.S)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.M)
    plain = (re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}
