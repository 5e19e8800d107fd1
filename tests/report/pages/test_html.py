import json
import re

import numpy as np
import pytest
from matplotlib.colors import to_hex

from experiments.errors import UserError
from experiments.report.data import coordinates
from experiments.report.figures import style
from experiments.report.figures.heatmap import arrange, heatmaps
from experiments.report.pages import chart, html, pointing
from experiments.report.pages.request import report
from tests.report.pages.page_data import make, rows
from tests.report.report_data import LRS, WDS, run, write_runs
from tests.report.sweep_data import measured, typed


def embedded(text, name):
    """What the page holds as JSON under a name."""
    found = re.search(rf'<script id="{name}" type="application/json">(.*?)</script>', text, re.S)
    return json.loads(found[1])


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return make(tmp_path_factory.mktemp("page")).read_text()


def test_the_page_says_what_was_run_what_came_out_and_how_to_run_it_again(page):
    for text in (
        *("a + b mod p", "Adam + L2, AdamW", "<dt>diverged</dt><dd>3</dd>", "seed=2,3"),
        *("<h2>Provenance</h2>", "python analyze.py experiment=toy"),
    ):
        assert text in page
    assert re.search(r"The best decay moves with .* by -?\d\.\d\d \[.*\] under Adam \+ L2", page)


def test_a_page_made_again_has_the_same_bytes(page, tmp_path):
    assert make(tmp_path).read_text() == page


def test_nothing_on_the_page_is_fetched(page):
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    addresses = re.findall(r"(?:src|href)=[\"']([^\"']*)|url\(([^)]*)\)|@import", markup)
    assert {first or second for first, second in addresses} - {"data:,"} == {
        address for address, _ in addresses if address.startswith("data:image/png;base64,")
    }


def test_a_name_that_would_be_markup_is_text(tmp_path):
    evil = "<script>alert(1)</script>"
    page = make(tmp_path, [run(optim=evil, lr=lr) for lr in (0.1, 0.2)], curves=False).read_text()
    assert evil not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert embedded(page, "page")["rows"]["cells"][0]["name"] == evil


def test_without_curves_the_page_says_where_they_come_from(tmp_path):
    page = make(tmp_path, curves=False).read_text()
    assert embedded(page, "page")["rows"]["runs"] == []
    assert "runs/toy/*/metrics.jsonl" in page


def test_an_unfinished_sweep_draws_what_is_there(tmp_path):
    plan = [
        {"optim": "adamw", "lr": float(lr), "wd": float(wd), "seed": 0}
        for lr in LRS[:6:2]
        for wd in (0.0, *WDS[::3], 4.0)
    ]
    page = make(tmp_path, planned=plan, refresh=True).read_text()
    state = embedded(page, "page")
    assert [c["status"][0] for c in state["rows"]["cells"]].count("missing") == 3
    assert state["refresh"] > 0
    assert "<dt>missing</dt><dd>3</dd>" in page


def test_cells_hold_the_means_seeds_and_coordinates_of_the_table():
    page = measured(rows())
    found = pointing.cells(page, pointing.tables(page))
    assert len({row["id"] for row in found}) == sum(len(one.panel.cells) for one in page)
    own, cells = [row for row in found if row["panel"] == 1], page[1].panel.cells
    for row, (_, cell) in zip(own, cells.iterrows(), strict=True):
        mean, *seeds = row["v"]["test_error"]
        known = [value for value in seeds if value is not None]
        assert mean == (pytest.approx(np.mean(known), rel=1e-4) if known else None)
        assert row["status"][0] == cell["status"]
    for axis in ("lambda", "torch_wd", "shrink", "timescale"):
        expected = coordinates.convert(cells, axis).to_numpy()
        there = [np.inf if row["at"][axis] is None else row["at"][axis] for row in own]
        assert there == pytest.approx(expected, rel=1e-4)


def test_the_line_turns_with_the_coordinate():
    page = measured(rows())
    adamw = [row for row in pointing.lines(page) if row["panel"] == 1]
    at = {
        axis: np.array([[row["lr"], row["x"]] for row in adamw if row["a"] == axis])
        for axis in pointing.COORDINATES
    }
    lr, decay = at["lambda"].T
    assert at["torch_wd"][:, 1] == pytest.approx(decay / lr, rel=1e-3)
    assert at["shrink"][:, 1] == pytest.approx(decay * 500.5, rel=1e-3)
    assert at["timescale"][:, 1] == pytest.approx(10 / (1000 * decay), rel=1e-3)


def test_the_colours_are_those_of_the_pictures():
    page = measured(rows())
    figure = heatmaps(arrange(page))
    norm = next(ax.collections[0].norm for ax in figure.axes if ax.get_title())
    found = pointing.tables(page)
    ends = pointing.limits(page, found)
    assert ends[0]["test_error"] == pytest.approx((norm.vmin, norm.vmax), rel=1e-4)
    spec = chart.chart(page, found, pointing.curves(page, typed({})), {"metric": "test_error"})
    bar = spec["vconcat"][0]["concat"][0]["encoding"]["color"]["scale"]
    for at, colour in zip(bar["domain"], bar["range"], strict=True):
        assert to_hex(style.colour_map()(at)) == colour
    assert style.ABOVE in json.dumps(spec)


def test_a_large_sweep_stays_small_and_says_how_its_curves_are_thinned():
    found = [
        run(optim=optim, lr=float(lr), wd=float(wd), seed=seed, test_error=5 + lr * wd,
            convention="l2" if optim == "adam" else "decoupled")
        for optim in ("adam", "adamw") for lr in 2.0 ** np.arange(-12, 13)
        for wd in 2.0 ** np.arange(-10, 10) for seed in range(3)
    ]  # fmt: skip
    generator = np.random.default_rng(0)
    names = ("batch_loss", "test_error", "test_loss")
    points = typed(
        {
            row["id"]: [
                {"step": e, "epoch": float(e)} | {n: float(generator.random()) for n in names}
                for e in range(50)
            ]
            for row in found
        }
    )
    page = measured(found, samples=0, estimator="argmin")
    text = html.page("large", "", page, points, [], {}, [], [])
    assert len(found) == 3000
    assert len(text.encode()) < 4e6
    assert "Of up to 50 points of a run the page keeps" in text


def test_the_best_cell_is_printed_as_overrides_and_nothing_is_written(tmp_path):
    write_runs(tmp_path / "runs" / "toy", rows())
    options = {
        "experiment": "toy", "source": "local", "log_figures": False, "best": True,
        "runs_dir": tmp_path / "runs", "results_dir": tmp_path / "results",
    }  # fmt: skip
    said = report(options)
    assert " optim=adam " in said
    assert said.endswith(" lr=0.015625 wd=0.015625")
    assert " optim=adamw " in report(options | {"panels": ["adamw"]}, typed={"panels"})
    assert not (tmp_path / "results").exists()
    with pytest.raises(UserError, match="best=maybe must be true or false"):
        report(options | {"best": "maybe"})
