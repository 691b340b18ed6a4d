"""The report page: what tables become on it, and that it is whole, the same each time, and refuses bad input."""

import base64
import json
import re
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mfmarl.algorithms import Kind
from mfmarl.environments import GaussianSqueeze
from mfmarl.environments.battle.game import Battle
from mfmarl.environments.battle.recorded import Replay, play
from mfmarl.figures.style import LOOKS
from mfmarl.files import read_csv
from mfmarl.report.battles import watchable
from mfmarl.report.claims import Strip, by_task, claims, verdict_counts
from mfmarl.report.curves import Curves, dash, drawable, shortened
from mfmarl.report.hyperparameters import APPENDIX, FORM, Column, Stated, column, compared, judged
from mfmarl.report.lattices import orderings
from mfmarl.report.page import as_json, number
from mfmarl.report.provenance import made
from mfmarl.scripting.main import main
from mfmarl.scripting.tables import read_provenance
from mfmarl.tournament.recording import record
from reproduce import report

ROOT = Path(__file__).parents[1]
EMPTY = dict.fromkeys(
    [
        *("id", "claim", "section", "data", "rule", "part", "statistic", "value", "low", "high", "n", "p"),
        *("verdict", "leans", "seeds_needed", "least", "most", "sentence", "command"),
    ]
)
WHOLE = {
    "id": "GS-2",
    "claim": "MF-Q learns <the optimum>",
    "section": "5.1",
    "data": "results/gaussian_squeeze/curves.csv",
    "rule": "most runs end there",
    "part": "N = 100",
    "statistic": "share of runs that end there",
    "value": 0.5,
    "low": 0.25,
    "high": 0.75,
    "n": 4,
    "p": None,
    "verdict": "undecided",
    "leans": "holds",
    "seeds_needed": 40,
    "sentence": "It does in half of them.",
    "command": "python reproduce/gaussian_squeeze.py --seeds 8 && python reproduce/gaussian_squeeze.py --full",
}
EVIDENCE = [
    {key: WHOLE[key] for key in ("id", "part", "statistic", "value", "low", "high", "n", "verdict")}
    | {"judged": "yes"},
    {"id": "GS-2", "part": "lead", "statistic": "reward", "value": 10.0, "low": 0.0, "high": 20.0, "n": 300}
    | {"verdict": "holds", "judged": "no"},
]
NOTHING = pd.DataFrame()
PIXELS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 8, 3), np.uint8))


def write_results(directory: Path) -> Path:
    """A small directory of results: two claims, curves of three games, lattices, a battle, a figure."""
    for name in ("gaussian_squeeze", "battle/replays", "ising", "theory"):
        (directory / name).mkdir(parents=True)
    other = EMPTY | {"id": "TH-3", "claim": "It responds best", "verdict": "not tested"}
    pd.DataFrame([WHOLE, other]).to_csv(directory / "claims.csv", index=False)
    pd.DataFrame(EVIDENCE).to_csv(directory / "evidence.csv", index=False)
    squeeze = [
        {"settings": settings, "algorithm": algorithm, "agents": 100, "seed": seed, "step": step}
        | {"greedy_reward": seed + step, "sampled_reward": 2.0}
        for settings in ("appendix", "calibrated")
        for algorithm in ("il", "mf-q")
        for seed in (0, 1)
        for step in (10, 20, 30)
    ]
    pd.DataFrame(squeeze).to_csv(directory / "gaussian_squeeze/curves.csv", index=False)
    lattices = [
        {"method": "mf-q", "order": "checkerboard", "size": 4, "temperature": temperature, "step": step, "spins": spins}
        for temperature, pictures in ((0.8, ("0000", "8000")), (2.0, ("ffff", "f0f0")))
        for step, spins in zip((5, 10), pictures, strict=True)
    ]
    pd.DataFrame(lattices).to_csv(directory / "ising/frames.csv", index=False)
    record(Battle(8, 30), ("rush", "random"), "sampled", 1).save(directory / "battle/replays/rush-v-random.npz")
    PIXELS.save(directory / "theory/remainder.png")
    return directory


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `write_results`."""
    return write_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def page(results: Path) -> str:
    """The page of these results."""
    assert main(lambda: report.run(["--results", str(results)])) == 0
    return (results / "index.html").read_text()


def unpacked(page: str, name: str) -> bytes:
    """What a script on the page reads."""
    [content] = re.findall(rf'id="packed-{name}">([^<]*)</script>', page)
    return zlib.decompress(base64.b64decode(content))


def test_the_page_is_the_same_when_it_is_made_again(
    results: Path, page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "some/folder/again.html"
    report.run(["--results", str(results), "--out", str(out)])
    assert out.read_text() == page
    assert capsys.readouterr().out == f"written: {out}, {out.stat().st_size / 1e6:.1f} MB\n"


def test_rewards_of_gaussian_squeeze_are_shares_of_the_optimum(results: Path) -> None:
    (squeeze,) = report.curves(results)
    best = GaussianSqueeze(100).optimum()[1]
    greedy, sampled = squeeze["runs"][0][-1]
    assert greedy == pytest.approx([10 / best, 20 / best, 30 / best], abs=1e-4)
    assert sampled == pytest.approx([2 / best] * 3, abs=1e-4)


@pytest.mark.parametrize(
    ("part", "sections", "packed"),
    [
        ("gaussian_squeeze", ["claims", "curves"], ["data", "plotly"]),
        ("ising", ["claims", "ising"], ["data", "lattice", "plotly"]),
        ("battle", ["claims", "battle"], ["data", "battle-0", "plotly"]),
        ("theory", ["claims", "theory"], []),
    ],
)
def test_a_page_of_some_results_has_their_sections(
    part: str, sections: list[str], packed: list[str], results: Path, tmp_path: Path
) -> None:
    shutil.copy(results / "claims.csv", tmp_path)
    shutil.copytree(results / part, tmp_path / part)
    text = report.page(tmp_path)
    assert re.findall('<section id="([^"]*)"', text) == sections
    assert re.findall('id="packed-([^"]*)"', text) == packed


def test_battles_of_64_are_before_others(results: Path, tmp_path: Path) -> None:
    replays = tmp_path / "battle/replays"
    replays.mkdir(parents=True)
    shutil.copy(results / "battle/replays/rush-v-random.npz", replays / "a-v-b.npz")
    film = "mf-ac-64-seed-0-v-ac-64-seed-0.npz"
    shutil.copy(ROOT / "results/battle/replays" / film, replays)
    assert [described["agents"] for described, _ in report.battles(tmp_path)] == [64, 8]


def test_hyperparameters_are_told_where_every_column_has_its_jobs(tmp_path: Path) -> None:
    assert report.hyperparameters(tmp_path) == []
    (tmp_path / "battle").mkdir()
    sections = read_provenance(ROOT / "results/battle/provenance.json")
    for names, told in ((["appendix"], 0), ([*sections], 1)):
        (tmp_path / "battle/provenance.json").write_text(json.dumps({name: sections[name] for name in names}))
        assert len(report.hyperparameters(tmp_path)) == told


def test_the_page_asks_for_nothing(page: str) -> None:
    without = re.sub(r'id="packed-[^<]*<', "<", page)
    addresses = re.findall(r'(?:src|href)="([^"]*)"', without)
    assert addresses
    assert all(re.match("#|data:", address) for address in addresses)
    assert not re.search(r"https?:|url\(|@import", without)


def test_the_page_holds_what_scripts_draw(page: str, results: Path) -> None:
    data = json.loads(unpacked(page, "data"))
    assert [table["name"] for table in data["curves"]] == ["squeeze"]
    assert "python reproduce/gaussian_squeeze.py --settings appendix --full" in data["curves"][0]["command"].split("\n")
    assert data["lattice"]["temperatures"] == [0.8, 2.0]
    [battle] = data["battles"]
    assert battle["command"] == "python reproduce/battle.py --replay rush random"
    assert (
        unpacked(page, "battle-0")
        == watchable(Replay.load(results / "battle/replays/rush-v-random.npz"), ("rush", "random"), "sampled")[1]
    )
    assert b"plotly.js" in unpacked(page, "plotly")[:200]


def test_claims_are_text_of_the_page(page: str) -> None:
    """Before any script, and with signs that have a meaning in HTML as they were written."""
    card = re.findall(r'<article class="card" id="GS-2">.*?</article>', page, re.S)[0]
    for part in ("MF-Q learns &lt;the optimum&gt;", "undecided", "0.5 [0.25, 0.75]", "<dd>holds</dd>", "<dd>40</dd>"):
        assert part in card
    commands = [f"python reproduce/gaussian_squeeze.py {option}" for option in ("--seeds 8", "--full")]
    assert re.findall("<code>(python [^<]*)</code>", re.sub("</?span>", "", card)) == commands
    assert re.findall(r"<i( class=.hollow.)?></i>", card) == 2 * ["", "", ' class="hollow"', ' class="hollow"']
    assert re.findall('<li class="beside-the-point">.*?</li>', card, re.S)[0].count("10 [0, 20]") == 1
    other = re.findall(r'<article class="card" id="TH-3">.*?</article>', page, re.S)[0]
    assert "not tested" in other
    assert 'class="strip"' not in other
    assert "<code>" not in other


def test_the_bounds_of_a_rule_are_numbers_under_the_line(tmp_path: Path) -> None:
    pd.DataFrame([WHOLE | {"least": 0.5, "most": 1.0}]).to_csv(tmp_path / "claims.csv", index=False)
    card = report.page(tmp_path)
    assert re.findall(r'<span class="bound" style="left: ([\d.]+)%">([\d.]+)</span>', card) == [("50.0", "0.5")]
    assert re.findall(r'class="(allowed[^"]*)"', card) == ["allowed from"]


def test_figures_are_on_the_page_pixel_by_pixel(page: str, tmp_path: Path) -> None:
    [content] = re.findall(r'src="data:image/webp;base64,([^"]*)"', page)
    (tmp_path / "figure.webp").write_bytes(base64.b64decode(content))
    with Image.open(tmp_path / "figure.webp") as figure:
        np.testing.assert_array_equal(np.asarray(figure), np.asarray(PIXELS))


def test_what_is_no_number_is_not_json() -> None:
    assert as_json({"a": [1.5, None, "ä"]}) == '{"a":[1.5,null,"ä"]}'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json([float("nan")])


def test_without_data_a_page_has_its_claims_and_no_script(tmp_path: Path) -> None:
    pd.DataFrame([WHOLE]).to_csv(tmp_path / "claims.csv", index=False)
    text = report.page(tmp_path)
    assert "MF-Q learns" in text
    assert "packed-" not in text
    assert re.findall('<section id="([^"]*)"', text) == ["claims"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--results", "{}/absent"], r"no {}/absent/claims\.csv; python reproduce/claims\.py makes it"),
        (["--results", "{}", "--out", "{}"], "out: got {}, allowed is a file"),
        (["--results", "{}", "--out", "{}/claims.csv/page.html"], "out: cannot write to {}/claims.csv"),
        (["--reslts", "{}"], "reslts"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    arguments: list[str], message: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [word.format(results) for word in arguments]
    assert main(lambda: report.run(filled)) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(message.format(re.escape(str(results))), line)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("evidence.csv", "id,verdict\nGS-2,holds\n", "lacks the columns"),
        ("gaussian_squeeze/curves.csv", "settings,algorithm,seed,step\na,il,0,1\n", "lacks the columns"),
        ("ising/training.csv", "method,size,temperature,seed,step,order_parameter\nmf-q,4,1,0,1,1\n", "lacks the col"),
        ("ising/frames.csv", "size,step,spins\n4,5,0000\n", "lacks the columns"),
        ("theory/remainder.png", "no picture", "is damaged: draw it again, or remove it"),
        ("theory/provenance.json", '{"run": [{"jobs": {}}]}', "is damaged: restore it, or remove it"),
        ("battle/replays/rush-v-random.npz", "no battle", "is not a replay"),
    ],
)
def test_results_that_are_damaged_are_named_in_one_line(
    file: str, content: str, message: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = shutil.copytree(results, tmp_path / "results")
    (damaged / file).write_text(content)
    assert main(lambda: report.run(["--results", str(damaged)])) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"{damaged / file} {message}" in line
    assert "out:" not in line


def test_lattices_on_which_nobody_learned_have_curves(results: Path, tmp_path: Path) -> None:
    lattices = shutil.copytree(results, tmp_path / "results")
    text = "method,order,size,temperature,seed,step,order_parameter\nmcmc,checkerboard,4,1.0,0,1,0.5\n"
    (lattices / "ising/training.csv").write_text(text)
    ising = next(table for table in report.curves(lattices) if table["name"] == "ising")
    assert ising["runs"] == [[[0, 0, 0], 0, 0, 0, [[0.5], [None]]]]


def test_learners_on_lattices_are_told_apart_and_stand_beside_mcmc(results: Path, tmp_path: Path) -> None:
    lattices = shutil.copytree(results, tmp_path / "results")
    rows = [("mcmc", "checkerboard")]
    rows += [
        (method, order) for method in ("il", "mf-q") for order in ("checkerboard", "released-code", "simultaneous")
    ]
    text = "method,order,size,temperature,seed,step,order_parameter,q_error\n"
    text += "".join(f"{method},{order},4,1.0,0,1,0.5,{'' if method == 'mcmc' else 0.1}\n" for method, order in rows)
    (lattices / "ising/training.csv").write_text(text)
    ising = next(table for table in report.curves(lattices) if table["name"] == "ising")
    assert [method["label"] for method in ising["methods"]] == ["IL", "MF-Q", "MCMC"]
    assert len({method["colour"] for method in ising["methods"]}) == 3
    assert ising["facets"][0]["values"] == ["checkerboard", "released-code", "simultaneous"]
    assert sorted((run[0][0], run[1]) for run in ising["runs"]) == [
        (order, method) for order in range(3) for method in range(3)
    ]


def test_battles_of_64_are_shown_first() -> None:
    [battles] = [source.curves for source in report.CURVES if source.curves.name == "battle"]
    rows = [
        {
            "settings": "appendix",
            "agents": agents,
            "algorithm": "il",
            "seed": 0,
            "step": 1,
            **dict.fromkeys(battles.metrics, 1.0),
        }
        for agents in (8, 64, 256)
    ]
    assert drawable(pd.DataFrame(rows), battles)["facets"][1]["values"] == ["64", "8", "256"]


def test_a_claim_may_have_nothing_but_its_name() -> None:
    for table in (
        pd.DataFrame([EMPTY | {"id": "GS-1"}]),
        pd.DataFrame([{"id": "GS-1", "claim": None, "verdict": None}]),
    ):
        [claim] = claims(table, NOTHING)
        assert (claim.rests_on.verdict, claim.rests_on.n, claim.strip, claim.sentence) == ("not tested", 0, None, "")
        assert claim.findings == []


def places(strip: Strip | None) -> tuple[float | None, ...]:
    """Both ends, and where interval and estimate lie."""
    assert strip is not None
    return strip[:5]


def test_numbers_lie_where_they_belong() -> None:
    """On a line from 0 to 1 for shares, else a little beyond the least and the most of what is shown beside it."""
    [share] = claims(pd.DataFrame([WHOLE]), pd.DataFrame(EVIDENCE))
    assert [places(strip) for _, strip in share.lines] == [(0, 1, 0.25, 0.75, 0.5), (0, 21, 0, 0.9524, 0.4762)]
    below = [{**row, "low": -20.0} if row["part"] == "lead" else row for row in EVIDENCE]
    [signed] = claims(pd.DataFrame([WHOLE]), pd.DataFrame(below))
    assert places(signed.lines[1][1]) == (-22, 22, 0.0455, 0.9545, 0.7273)
    [alone] = claims(pd.DataFrame([EMPTY | {"id": "IS-2", "value": 3.0}]), NOTHING)
    assert [places(share.strip), places(alone.strip)] == [(0, 1, 0.25, 0.75, 0.5), (2, 4, None, None, 0.5)]


@pytest.mark.parametrize(
    ("given", "ends", "allowed"),
    [
        ({"least": 0.5, "most": 1.0}, (0, 1), (0.5, 1)),
        ({"least": 0.0, "most": 0.5}, (0, 1), (0, 0.5)),
        ({"least": 0.5}, (0, 1), (0.5, 1)),
        ({}, (0, 1), None),
        ({"statistic": "a difference", "least": -0.25, "most": 0.75}, (-0.3, 0.8), (0.0455, 0.9545)),
        ({"statistic": "a factor", "most": 1.25}, (0.2, 1.3), (0, 0.9545)),
    ],
)
def test_what_a_rule_allows_is_on_the_line(
    given: dict[str, object], ends: tuple[float, float], allowed: tuple[float, float] | None
) -> None:
    [claim] = claims(pd.DataFrame([WHOLE | given]), NOTHING)
    assert claim.strip is not None
    assert claim.strip[:2] == pytest.approx(ends)
    assert claim.strip.allowed == (allowed if allowed is None else pytest.approx(allowed))


@pytest.mark.parametrize(("n", "few"), [(5, True), (6, False), (None, False)])
def test_an_interval_of_few_runs_is_drawn_as_a_guess(n: int | None, few: bool) -> None:
    [claim] = claims(pd.DataFrame([WHOLE | {"n": n}]), NOTHING)
    assert claim.strip is not None
    assert claim.strip.few == few


def test_runs_are_dots() -> None:
    """Of a share of runs those that count are full; of too many runs there are none."""
    [claim] = claims(pd.DataFrame([WHOLE | {"n": 8, "value": 0.25}]), pd.DataFrame(EVIDENCE))
    assert claim.rests_on.dots == (2, 6)
    assert [finding.dots for finding in claim.findings] == [(2, 2), (0, 0)]
    assert [replace(claim.findings[1], n=n).dots for n in (5, 120, 121, 0)] == [(5, 0), (120, 0), (0, 0), (0, 0)]
    assert [finding.judged for finding in claim.findings] == [True, False]


def test_claims_are_counted_and_ordered_by_task() -> None:
    names = ("TOY-1", "BA-1", "GS-2", "X-1", "IS-1", "GS-1")
    rows = claims(pd.DataFrame([WHOLE | {"id": name} for name in names] + [WHOLE | {"verdict": "holds"}]), NOTHING)
    assert {task: [claim.id for claim in some] for task, some in by_task(rows).items()} == {
        "Gaussian Squeeze": ["GS-1", "GS-2", "GS-2"],
        "Ising": ["IS-1"],
        "Battle": ["BA-1"],
        "Toy example": ["TOY-1"],
        "X": ["X-1"],
    }
    assert list(by_task(rows)) == ["Gaussian Squeeze", "Ising", "Battle", "Toy example", "X"]
    assert verdict_counts(rows) == {"holds": 1, "undecided": 6}


def test_a_table_of_claims_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lacks the columns \['verdict'\]"):
        claims(pd.DataFrame([WHOLE]).drop(columns="verdict"), NOTHING)
    with pytest.raises(ValueError, match=r"verdict must be .*, got \['perhaps'\]"):
        claims(pd.DataFrame([WHOLE | {"verdict": "perhaps"}]), NOTHING)


CURVES = Curves("toy", "Toy", {"agents": "Agents"}, {"reward": "reward"}, "steps")


def test_every_run_is_a_curve() -> None:
    rows = [
        {"agents": agents, "algorithm": algorithm, "seed": seed, "step": step, "reward": value}
        for agents, algorithm, seed, step, value in (
            (500, "il", 1, 20, 0.98765),
            (500, "il", 1, 10, 0.5),
            (100, "mf-q", 0, 10, float("nan")),
        )
    ]
    found = drawable(pd.DataFrame(rows), CURVES)
    assert found["facets"] == [{"label": "Agents", "values": ["100", "500"]}]
    assert [method["label"] for method in found["methods"]] == ["IL", "MF-Q"]
    assert [dash(look.line) for look in (LOOKS["il"], LOOKS["fmq"])] == ["solid", "10px,4px"]
    assert found["steps"] == [[10], [10, 20]]
    assert found["runs"] == [[[0], 1, 0, 0, [[None]]], [[1], 0, 1, 1, [[0.5, 0.9876]]]]
    with pytest.raises(ValueError, match=r"toy lacks the columns \['reward'\]"):
        drawable(pd.DataFrame(rows).drop(columns="reward"), CURVES)


@pytest.mark.parametrize(
    ("values", "rounded"),
    [
        ([423.0296, 0.26], [423.0, 0.3]),
        ([0.012345, -1e-9], [0.01234, 0.0]),
        ([0.0], [0.0]),
        ([np.nan, 20.0], [np.nan, 20]),
    ],
)
def test_numbers_are_as_long_as_a_plot_can_show(values: list[float], rounded: list[float]) -> None:
    found = shortened(np.array(values))
    np.testing.assert_array_equal(found, rounded)
    assert not np.signbit(found[found == 0]).any()


def test_frames_are_bits_of_every_temperature_and_step() -> None:
    frames = pd.DataFrame(
        [(4, 2.0, 5, "8001"), (4, 0.8, 10, "00ff"), (4, 0.8, 5, "ffff"), (4, 2.0, 10, "0000")],
        columns=["size", "temperature", "step", "spins"],
    )
    described, bits = orderings(frames)
    assert bits == bytes.fromhex("ffff00ff80010000")
    assert (described["temperatures"], described["steps"], described["size"]) == ([0.8, 2.0], [5, 10], 4)
    assert described["onsager"] == [round((1 - np.sinh(1 / 0.8) ** -4) ** (1 / 8), 4), 0], "above the transition"
    assert described["critical"] == 1.1346
    with pytest.raises(ValueError, match="2 temperatures at 2 steps"):
        orderings(frames[1:])
    with pytest.raises(ValueError, match="2 temperatures at 2 steps"):
        orderings(frames.assign(step=[5, 5, 5, 10]))
    with pytest.raises(ValueError, match=r"one size, got \[4, 8\]"):
        orderings(frames.assign(size=[4, 4, 4, 8]))


@pytest.fixture(scope="module")
def replay() -> Replay:
    """Rush against random, to the end."""
    return record(Battle(8), ("rush", "random"), "sampled", 3)


def test_a_battle_is_where_the_engine_has_it(replay: Replay) -> None:
    described, content = watchable(replay, ("one", "other"), "sampled")
    frames = list(play(replay))
    places = np.frombuffer(content, np.uint8).reshape(3, 2, 8, len(frames))
    assert described["steps"] == len(frames) - 1
    for at in (0, len(frames) // 2, len(frames) - 1):
        units = frames[at].units
        np.testing.assert_array_equal(places[2, ..., at] > 0, units.alive[0])
        cells = np.moveaxis(places[:2, ..., at], 0, -1)[units.alive[0]]
        np.testing.assert_array_equal(cells, units.positions[0][units.alive[0]])
        np.testing.assert_allclose(places[2, ..., at] / 10, units.hp[0], atol=0.051)
    assert [army["survivors"] for army in described["armies"]] == replay.alive.sum(-1).tolist()
    seats = {army["seat"]: army["name"] for army in described["armies"]}
    assert seats["left"] == ("one", "other")[replay.start.left]
    assert [army["first"] for army in described["armies"]] == [replay.start.first == 0, replay.start.first == 1]


def test_values_stand_beside_the_appendix() -> None:
    calls: list[dict[str, dict[str, Any]]] = [
        {"rate": {"value": 0.1, "source": "appendix"}, "open": {"value": [1, 2, 3, 4, 5], "source": "ours"}},
        {"rate": {"value": 0.2, "source": "ours"}, "form": {"value": 7, "source": "ours"}},
        {"rate": {"value": 0.2, "source": "ours"}},
    ]
    stated = {"rate": Stated(0.1), "form": Stated(FORM, "a form")}
    rate, form, left_open = compared(stated, [Column(calls, [1, 2, 3])])
    assert (rate.name, rate.appendix) == ("rate", "0.1")
    assert rate.cells == [[("0.2", "ours", "deviates", 5), ("0.1", "appendix", "agrees", 1)]]
    assert (form.appendix, form.cells[0][0].verdict) == ("a form", "agrees")
    assert (left_open.name, left_open.appendix, left_open.cells[0][0][:3]) == (
        "open",
        "",
        ("1 … 5, 5", "ours", "silent"),
    )
    assert [row.blanks for row in (rate, form)] == [["not recorded"]] * 2
    assert [judged(value, Stated([1, 2])) for value in ([1, 2], (1, 2), (1, 3), None)] == [
        *("agrees", "agrees"),
        *("deviates", "deviates"),
    ]
    with pytest.raises(ValueError, match="the appendix's rte are no fields"):
        compared({"rte": Stated(0.1)}, [Column(calls, [1, 2, 3])])


def test_a_value_counts_for_the_jobs_that_use_it() -> None:
    """Two methods, one of which has no use for `rate`; an earlier source, and an earlier name, of the same values."""
    recorded = {
        "rate": {"value": 0.1, "source": "ours"},
        "temperature": {"value": None, "source": "ours"},
        "size": {"value": [1, 2], "source": "ours, in place of (3, 4)"},
    }
    jobs = {f"{name}-seeds-{seed}": {"labels": {"algorithm": name}} for name in ("il", "ac") for seed in (0, 1)}
    today: dict[str, dict[str, Any]] = {
        "rate": {"value": 0.1, "source": "released code"},
        "boltzmann": {"value": None, "source": "appendix"},
        "size": {"value": (3, 4), "source": "ours: so many"},
    }

    def unused(method: str) -> set[str]:
        return {"boltzmann", "rate"} if method == "il" else {"boltzmann"}

    made = column([call(settings=recorded, jobs=jobs)], (), unused, today)
    used = column([call(settings={"boltzmann": recorded["temperature"]}, jobs=jobs)], (), lambda _: set(), today)
    rate, boltzmann, size = compared({"rate": Stated(0.1), "boltzmann": Stated(None)}, [made, used])
    assert rate.cells == [[("0.1", "released code", "agrees", 2)], []]
    assert size.cells[0] == [("1, 2", "ours", "silent", 4)]
    assert (boltzmann.cells[0], boltzmann.blanks[0], rate.blanks[1]) == ([], "not used", "not recorded")


def test_a_value_of_a_part_counts_for_the_jobs_of_that_part() -> None:
    parts = ("checkerboard, 20 x 20", "checkerboard, 20 x 20, tau-2")
    recorded = {part: {"rate": {"value": rate, "source": "ours"}} for part, rate in zip(parts, (0.1, 0.2), strict=True)}
    names = ("a-checkerboard-20-seeds-0", "a-checkerboard-20-tau-2-seeds-0", "b-checkerboard-20-tau-2-seeds-0")
    made = column([call(settings=recorded, jobs={name: {} for name in names})], parts, lambda _: set(), {})
    assert compared({}, [made])[0].cells == [[("0.2", "ours", "silent", 2), ("0.1", "ours", "silent", 1)]]


def test_settings_that_a_method_does_not_use_are_those_of_others() -> None:
    assert {"actor_learning_rate", "critic_learning_rate", "fmq_boltzmann"} <= report.unused("il", "stateless")
    assert {"learning_rate", "epsilon_end"} <= report.unused("mf-ac", "stateless")
    assert not {"learning_rate", "epsilon_end", "batch_size"} & report.unused("il", "stateless")
    assert report.unused("path/to/file.py:Mine", "stateless") == set()


@pytest.mark.parametrize(("title", "path", "kind", "columns"), report.HYPERPARAMETERS)
def test_the_appendix_agrees_with_the_sources_of_committed_results(
    title: str, path: str, kind: Kind, columns: dict[str, report.Run]
) -> None:
    """Who reads the appendix for a default and who reads it for the page must read the same."""
    sections = read_provenance(ROOT / "results" / path / "provenance.json")
    for part in columns.values():
        for recorded in report.made_with(sections[part.section], path, kind, part).settings:
            for name, entry in recorded.items():
                stated = APPENDIX[path].get(name)
                if entry["source"].startswith("appendix"):
                    assert stated is not None, f"{title}: {name}"
                    assert judged(entry["value"], stated) == "agrees", f"{title}: {name}"
                elif stated is not None and stated.value is not FORM and name != "hidden":
                    assert stated.value != entry["value"], f"{title}: {name} is the appendix's, but is said to be ours"
                elif name == "hidden" and stated is not None:
                    assert judged(entry["value"], stated) == "agrees", "it gives three layers"


def call(**changes: Any) -> dict[str, Any]:
    """A call in provenance.json."""
    return {
        "command": "python reproduce/toy.py",
        "date": "2026-01-02T03:04:05+00:00",
        "versions": {"python": "3.11"},
        "commit": {"id": "0123456789abcdef", "dirty": False},
        "hardware": {"cpu": "Chip", "cores": 2, "memory_gib": 8.0, "gpus": ["G"], "system": "Linux"},
        "total": {"wall_seconds": 1800.0, "cpu_seconds": 1.0},
        "jobs": {"a": {}, "b": {}},
    } | changes


def test_equal_calls_are_one_line_of_provenance() -> None:
    later = call(date="2026-01-05T00:00:00+00:00", jobs={"c": {}})
    one, two = made({"first": [call(), call(commit=None)], "second": [later]})
    assert (one.sections, one.jobs, one.hours) == (["first", "second"], 3, 1.0)
    assert (one.first, one.last, one.commit, one.dirty) == ("2026-01-02", "2026-01-05", "0123456789", False)
    assert (one.hardware, one.versions) == ("Chip, 2 cores, 8 GiB, G", "python 3.11")
    assert (two.sections, two.commit, two.dirty) == (["first"], "unknown", False)


def test_provenance_names_the_rows_of_a_call() -> None:
    jobs = {
        "a": {"labels": {"algorithm": "il", "agents": 64}, "seeds": [0, 1], "precision": "32"},
        "b": {"labels": {"algorithm": "ac", "agents": 8}, "seeds": [1, 10], "precision": "32"},
        "c": {},
    }
    (one,) = made({"first": [call(jobs=jobs)]})
    assert one.rows == ["algorithm ac, il", "agents 8, 64", "precision 32", "seeds 0 to 1, 10"]
    assert made({"first": [call()]})[0].rows == []


KEYS = {
    "gaussian_squeeze": {"appendix": "curves.csv", "calibrated": "curves.csv"},
    "battle": {"appendix": "curves.csv", "released-code": "curves.csv", "tournament": "tournament.csv"},
    "ising": {"training": "training.csv", "equilibrium": "equilibrium.csv", "frames": "frames.csv"},
}


@pytest.mark.parametrize(("task", "section"), [(task, section) for task, own in KEYS.items() for section in own])
def test_committed_jobs_name_the_rows_that_they_made(task: str, section: str) -> None:
    folder = ROOT / "results" / task
    table, found = read_csv(folder / KEYS[task][section]), 0
    for made_by in read_provenance(folder / "provenance.json")[section]:
        for name, job in made_by["jobs"].items():
            keys = {column: value for column, value in job.get("labels", {}).items() if column in table.columns}
            rows = table[(table[list(keys)] == pd.Series(keys)).all(axis=1)] if keys else table.iloc[:0]
            found += len(rows)
            if keys:
                assert set(job.get("seeds", [])) <= set(rows.get("seed", pd.Series([0]))), name
                assert job["precision"] == (
                    "bf16-mixed" if "bf16" in made_by["command"] and section != "tournament" else "32"
                )
    assert found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (999.5, "1e+03"),
        (1000.25, "1,000"),
        (0.12345, "0.123"),
        (5.0, "5"),
        (160000.0, "160,000"),
        (1234.5, "1,234"),
        (1.1e-11, "1.1e-11"),
        ("p < 1e-8", "p < 1e-8"),
    ],
)
def test_numbers_are_written_for_readers(value: float | str, text: str) -> None:
    assert number(value) == text


def test_every_figure_of_the_page_is_committed() -> None:
    """A figure that is renamed would silently be left out."""
    some = [*report.ISING, *report.BATTLE, *report.THEORY, *report.STILLS["curves"], *report.STILLS["lattice"]]
    assert [figure.path for figure in some if not (ROOT / "results" / figure.path).is_file()] == []
    assert [source.path for source in report.CURVES if not (ROOT / "results" / source.path).is_file()] == []
