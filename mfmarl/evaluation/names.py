"""What methods are called, on pages and in figures, and how a sentence lists them."""

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
    """What a reader calls a method: "mf-q" MF-Q, and a custom one, "path/to/file.py:Class", Class."""
    return NAMES.get(method, method.rsplit(":", 1)[-1])


def in_words(names: Iterable[object]) -> str:
    """The names as a sentence lists them, "AC, IL and MF-Q"; there is at least one."""
    *others, last = map(str, names)
    return f"{', '.join(others)} and {last}" if others else last
