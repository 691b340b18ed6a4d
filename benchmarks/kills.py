"""A campaign of kills: `python benchmarks/kills.py [--kills 120]` stops every script at random moments.

Each script runs at toy size, is stopped by SIGKILL, SIGTERM or SIGINT, with one worker or two, and called again until
it ends by itself. Then its tables and figures must be those of a run that nobody stopped, byte for byte, no process of
it may be left, and what it said may hold no traceback. It prints counts, and ends with code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import cycle
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
    parser.add_argument("--kills", type=int, default=120, help="at least so many in all")
    parser.add_argument("--scripts", nargs="+", default=list(SCRIPTS), choices=SCRIPTS, help="which scripts")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored, by children too
    chance, counts = random.Random(given.seed), Counter[str]()
    wrong: list[str] = []
    whole: dict[str, tuple[dict[str, bytes], float]] = {}
    with tempfile.TemporaryDirectory(prefix="mfmarl-kills-") as directory:
        for number, (script, workers) in enumerate(cycle([(each, w) for each in given.scripts for w in (1, 2)])):
            if counts["kills"] >= given.kills:
                break
            if script not in whole:
                out, began = Path(directory) / f"{len(whole)}-whole", time.monotonic()
                subprocess.run(command(script, 1, out), check=True, capture_output=True)
                whole[script] = results(out), time.monotonic() - began
            expected, seconds = whole[script]
            out = Path(directory) / str(number)
            wrong += stopped_until_done(script, workers, out, seconds, chance, counts)
            if results(out) != expected:
                wrong.append(f"{script}, {workers} workers: other bytes in {out}")
            print(f"{counts['kills']:4d} kills  {script}, {workers} workers", flush=True)
    print("\n" + "\n".join(f"{count:4d}  {what}" for what, count in sorted(counts.items())))
    print("\n".join(wrong) or "nothing lost, nothing left, all bytes equal")
    return bool(wrong)


def stopped_until_done(
    script: str, workers: int, out: Path, seconds: float, chance: random.Random, counts: Counter[str]
) -> list[str]:
    """Stop a script up to four times, then let it end; what went wrong."""
    wrong = []
    for number in [*chance.choices(SIGNALS, k=4), None]:
        process = subprocess.Popen(
            command(script, workers, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        if number is not None:
            time.sleep(chance.uniform(0, seconds))
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(number)
            counts["kills"] += process.poll() is None
            counts[f"{number.name}, {workers} workers"] += 1
        _, error = process.communicate()
        if number is None or process.returncode == 0:
            if process.returncode:
                wrong.append(f"{script}: ended with {process.returncode}: {error[-300:]}")
            return wrong
        if process.returncode not in CODES[number]:
            wrong.append(f"{script}: {number.name} gave {process.returncode}: {error[-300:]}")
        if IMPORTING in error and "Traceback" in error:
            wrong.append(f"{script}: {number.name} gave a traceback: {error[-600:]}")
        _, alive = psutil.wait_procs(family, timeout=30)
        wrong += [f"{script}: {each} is left after {number.name}" for each in alive]
    return wrong


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
