"""Links from a page to code, whose text is a symbol and whose address ends with the line that defines it.

[`mean_action`](mfmarl/mean_field.py#L35)
"""

import ast
import re
from pathlib import Path

LINK = re.compile(r"\[`(?P<symbol>[A-Za-z_][\w.]*)`\]\((?P<file>[^)#\s]+\.py)(?:#L\d+)?\)")


def with_lines(page: Path, text: str) -> str:
    """Update the line numbers in all links to symbols in a page.

    Args:
        page: path of the page; links are relative to its folder.
        text: text of the page.

    Raises:
        ValueError: a linked file does not exist or does not define the symbol.
    """

    def linked(match: re.Match[str]) -> str:
        symbol, file = match["symbol"], match["file"]
        if symbol.endswith(".py"):
            return match[0]
        path = page.parent / file
        if not path.is_file():
            raise ValueError(f"{page.name}: there is no {file}")
        return f"[`{symbol}`]({file}#L{line_of(symbol, path)})"

    return LINK.sub(linked, text)


def line_of(symbol: str, path: Path) -> int:
    """The line at which a file defines a symbol: a class, a function, a constant, or `Class.method`.

    Raises:
        ValueError: the file does not define the symbol.
    """
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for name in symbol.split("."):
        found = next((node for node in body if name in _names(node)), None)
        if found is None:
            raise ValueError(f"{path.name} must define {symbol}, which a page links")
        body, line = getattr(found, "body", []), found.lineno
    return line


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}
