"""The page as text: templates filled in, and what a browser unpacks.

A browser reads three kinds of data: text in the page itself, which is there without JavaScript; JSON, which scripts
draw from; and arrays of bytes. The last two are packed, and `unpack` in templates/page.js undoes that.
"""

import json
import math
import zlib
from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from plotly.offline import get_plotlyjs

from mfmarl.files import told


def render(content: Mapping[str, Any], packages: Mapping[str, bytes]) -> str:
    """The page.

    Args:
        content: what templates/page.html shows, by the names that it uses.
        packages: bytes for scripts, by the id of the element that holds them; plotly.js is added.

    Raises:
        jinja2.UndefinedError: a name that the page uses and `content` lacks.
    """
    environment = Environment(
        loader=PackageLoader("mfmarl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.tests["known"] = lambda value: not math.isnan(value)
    environment.globals["zip"] = zip
    everything = {**packages, "plotly": get_plotlyjs().encode()} if packages else {}
    packed = {name: pack(raw) for name, raw in everything.items()}
    return environment.get_template("page.html").render(**content, packages=packed)


def pack(content: bytes) -> str:
    """The bytes in the format of zlib, in base64: of plotly.js two fifths of its size."""
    return b64encode(zlib.compress(content, 9)).decode()


def as_json(content: object) -> bytes:
    """JSON without spaces.

    Raises:
        ValueError: a NaN or an infinity.
    """
    return json.dumps(content, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def image(path: Path) -> str:
    """A figure as an address that holds it: the pixels of the PNG, in two fifths of its bytes.

    Raises:
        ValueError: it is no whole picture.
    """
    content = BytesIO()
    try:
        with Image.open(path) as figure:
            figure.convert("RGB").save(content, "WEBP", lossless=True)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # as Pillow calls what is damaged
        raise ValueError(f"results: {path} is damaged: draw it again, or remove it ({told(error)[:200]})") from error
    return f"data:image/webp;base64,{b64encode(content.getvalue()).decode()}"


def number(value: float | str, digits: int = 3) -> str:
    """A number for a reader: so many significant digits, whole numbers whole, thousands apart; text stays."""
    if isinstance(value, str):
        return value
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
