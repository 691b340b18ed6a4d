"""The wheel and the sdist: they build, install outside the checkout, and pass the quickstart there."""

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUFFIXES = (".py", ".pyi", ".typed", ".html", ".css", ".js")


def call(*command: object, cwd: Path = ROOT) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, cwd=cwd, env={})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_wheel_and_sdist_build_and_the_wheel_passes_the_quickstart_elsewhere(tmp_path: Path) -> None:
    call(sys.executable, "-m", "hatchling", "build", "-d", tmp_path / "dist")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = [path for path in (ROOT / "mfmarl").rglob("*") if path.suffix in SUFFIXES]
    assert packed == {path.relative_to(ROOT).as_posix() for path in sources}
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "examples/quickstart.py", "mfmarl/py.typed"} <= held
    # A fresh environment that borrows the dependencies of this one.
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env/bin/python"
    (site,) = (tmp_path / "env/lib").glob("python*/site-packages")
    (site / "borrowed.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    assert call(python, "-c", "import mfmarl; print(mfmarl.__file__)", cwd=tmp_path).startswith(str(site))
    (tmp_path / "quickstart.py").write_text((ROOT / "examples/quickstart.py").read_text())
    assert "best possible: 423.0" in call(python, "quickstart.py", cwd=tmp_path)
