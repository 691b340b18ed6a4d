"""Renders the page from templates, and packs data for the browser.

The page contains three kinds of data: text, which is visible without JavaScript; JSON, from which scripts draw; and
arrays of bytes. JSON and arrays are packed, and `unpack` in templates/page.js unpacks them.
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
    """Render the page.

    Args:
        content: variables of templates/page.html.
        packages: bytes for scripts, by the id of the element that contains them; plotly.js is added.

    Raises:
        jinja2.UndefinedError: `content` lacks a variable of the template.
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
    """Compress bytes with zlib and encode them in base64. plotly.js shrinks to two fifths of its size."""
    return b64encode(zlib.compress(content, 9)).decode()


def as_json(content: object) -> bytes:
    """Encode as JSON without spaces.

    Raises:
        ValueError: the content contains NaN or infinity.
    """
    return json.dumps(content, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def image(path: Path) -> str:
    """Encode a figure as a data URL with the same pixels as the PNG, in two fifths of its bytes.

    Raises:
        ValueError: the file is not a complete picture.
    """
    content = BytesIO()
    try:
        with Image.open(path) as figure:
            figure.convert("RGB").save(content, "WEBP", lossless=True)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's exceptions for damaged files
        raise ValueError(f"results: {path} is damaged: draw it again, or remove it ({told(error)[:200]})") from error
    return f"data:image/webp;base64,{b64encode(content.getvalue()).decode()}"


def number(value: float | str, digits: int = 3) -> str:
    """Format a number to `digits` significant digits, integers in full, with separated thousands; text is unchanged."""
    if isinstance(value, str):
        return value
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
