"""Names of methods for readers of pages and figures, and lists of names in sentences."""

from collections.abc import Iterable

NAMES = {
    "il": "IL",
    "fmq": "FMQ",
    "rec-fmq": "Rec-FMQ",
    "maac": "MAAC",
    "ac": "AC",
    "mf-q": "MF-Q",
    "mf-ac": "MF-AC",
    "mf-q-noise": "MF-Q fed noise",
    "mf-ac-noise": "MF-AC fed noise",
    "mcmc": "MCMC",
    "rush": "rush",
    "random": "random",
}


def label(method: str) -> str:
    """The name of a method for readers: MF-Q for "mf-q", and Class for a custom "path/to/file.py:Class"."""
    return NAMES.get(method, method.rsplit(":", 1)[-1])


def in_words(names: Iterable[object]) -> str:
    """Join at least one name as in a sentence: "AC, IL and MF-Q"."""
    *others, last = map(str, names)
    return f"{', '.join(others)} and {last}" if others else last
