"""A campaign of kills: `python benchmarks/kills.py [--kills 108]` stops every script at random moments.

Each script runs at toy size, is stopped by SIGKILL, SIGTERM or SIGINT, with one worker or two, and called again until
it ends by itself. Then its tables and figures must be those of a run that nobody stopped, byte for byte, no process of
it may be left, and what it said may hold no traceback. It prints counts, and ends with code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = {
    "gaussian_squeeze": "gaussian_squeeze.py --quick --agents 20 --seeds 1",
    "gaussian_squeeze study": "gaussian_squeeze.py --quick --study informed-start --agents 20 --seeds 1",
    "ising": "ising.py --quick --agents 64 --seeds 1",
    "battle": "battle.py --quick --agents 4 --seeds 1",
    "matrix_games": "matrix_games.py --quick --seeds 4",
    "theory": "theory.py --quick",
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
CODES = {signal.SIGKILL: (-9,), signal.SIGTERM: (143, -15), signal.SIGINT: (130, -2)}
# Python prints where Ctrl-C found it while a script still imports, and nothing can be asked of it by then.
IMPORTING = "stopped; the same command goes on from here"


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=108, help="at least so many in all, as many of each kind")
    parser.add_argument("--scripts", nargs="+", default=list(SCRIPTS), choices=SCRIPTS, help="which scripts")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored, by children too
    chance, counts = random.Random(given.seed), Counter[str]()
    each = math.ceil(given.kills / (len(given.scripts) * 2 * len(SIGNALS)))
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="mfmarl-kills-") as directory:
        for script in given.scripts:
            whole, began = Path(directory) / f"{script}, whole", time.monotonic()
            subprocess.run(command(script, 1, whole), check=True, capture_output=True)
            seconds = time.monotonic() - began
            for workers in (1, 2):
                kills = chance.sample(SIGNALS * each, k=each * len(SIGNALS))
                for number in itertools.count():
                    out = Path(directory) / f"{script}, {workers} workers, {number}"
                    wrong += stopped_until_done(script, workers, out, seconds, chance, kills, counts)
                    if results(out) != results(whole):
                        wrong.append(f"{script}, {workers} workers: other bytes in {out.name}")
                    if not kills:
                        break
                print(f"{counts.total():4d} kills  {script}, {workers} workers", flush=True)
    print("\n" + "\n".join(f"{count:4d}  {what}" for what, count in sorted(counts.items())))
    print("\n".join(wrong) or "nothing lost, nothing left, all bytes equal")
    return bool(wrong)


def stopped_until_done(
    script: str,
    workers: int,
    out: Path,
    seconds: float,
    chance: random.Random,
    kills: list[signal.Signals],
    counts: Counter[str],
) -> list[str]:
    """Stop a script by one signal of `kills` after the other until it ends, or they do; what went wrong."""
    wrong: list[str] = []
    while True:
        process = subprocess.Popen(
            command(script, workers, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        number, family = None, list[psutil.Process]()
        if kills:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0, seconds / 2))  # the next call goes on, and so do the moments
            if process.poll() is None:
                number = kills.pop()
                counts[f"{script}, {workers} workers, {number.name}"] += 1
                family = psutil.Process(process.pid).children(recursive=True)
                process.send_signal(number)
        _, error = process.communicate()
        if process.returncode == 0:
            return wrong
        if number is None:
            return [*wrong, f"{script}: ended with {process.returncode}: {error[-300:]}"]
        if process.returncode not in CODES[number]:
            wrong.append(f"{script}: {number.name} gave {process.returncode}: {error[-300:]}")
        if IMPORTING in error and "Traceback" in error:
            wrong.append(f"{script}: {number.name} gave a traceback: {error[-600:]}")
        _, alive = psutil.wait_procs(family, timeout=30)
        wrong += [f"{script}: {each} is left after {number.name}" for each in alive]


def command(script: str, workers: int, out: Path) -> list[str]:
    """The words of a script's call."""
    name, *words = SCRIPTS[script].split()
    how = ["--workers", str(workers), "--checkpoint-seconds", "0", "--out", str(out)]
    return [sys.executable, f"{ROOT}/reproduce/{name}", *words, *how]


def results(out: Path) -> dict[str, bytes]:
    """What lies in a folder of results, but for jobs and provenance."""
    files = (path for path in out.rglob("*") if path.is_file() and "jobs" not in path.relative_to(out).parts)
    return {str(path.relative_to(out)): path.read_bytes() for path in files if path.name != "provenance.json"}


if __name__ == "__main__":
    raise SystemExit(main())
