"""What mkdocs.yml asks of the docs site: pages at their places in the checkout, and the API reference."""

import re
from pathlib import Path
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "examples/README.md", "results/*/README.md")
LINK = re.compile(r"(?P<start>\]\()(?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")
CODE = re.compile(r"\[`(?P<symbol>[\w.]+)`\]\((?P<target>[^)\s#:]+\.py)(?:#L\d+)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The reference stands last."""
    config.nav = [*(config.nav or []), {"Reference": [{name: f"reference/{name}.md"} for name in modules()]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages, what they show and link, and a page of reference for each module, in place of what lies in docs/."""
    for file in [*files.documentation_pages(), *files.static_pages()]:
        if not file.src_uri.startswith("assets/"):
            files.remove(file)
    pages = sorted(path for pattern in PAGES for path in ROOT.glob(pattern))
    linked = {(path.parent / match["target"]).resolve() for path in pages for match in LINK.finditer(path.read_text())}
    for path in sorted({*pages, *(path for path in linked if path.is_file() and path.is_relative_to(ROOT))}):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    for module in modules():
        files.append(File.generated(config, f"reference/{module}.md", content=f"# {module}\n\n::: {module}\n"))
    return files


def modules() -> list[str]:
    """The modules of the package, by name."""
    paths = sorted((ROOT / "mfmarl").rglob("*.py"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to symbols of the package lead to their reference."""
    here = Path(page.file.src_uri).parent.as_posix()

    def referenced(match: re.Match[str]) -> str:
        target = normpath(f"{here}/{match['target']}")
        module = target.removesuffix(".py").replace("/", ".")
        if module not in modules() or match["symbol"].endswith(".py"):
            return match[0]
        link = relpath(f"reference/{module}.md", here)
        return f"[`{match['symbol']}`]({link}#{module}.{match['symbol']})"

    return CODE.sub(referenced, markdown)
