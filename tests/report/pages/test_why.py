"""From the probe's table to statistics, claims, pictures and the page."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.errors import UserError
from experiments.record import tables
from experiments.report.data import frames, probes
from experiments.report.figures import decay_shares, loss_scale, style
from experiments.report.pages import why, why_factors, why_page
from experiments.report.statistics import factors, judge, shares, why_claims
from experiments.report.statistics.estimate import Estimate
from tests.report.probe_data import row, run_of
from tests.report.report_data import run, write_runs

OPTIMS = ("sgd", "sgdw", "adam", "adamw", "torch_adamw")


def text(rows):
    return [{key: tables.text(value) for key, value in row.items()} for row in rows]


def everything(tasks=("modular",), seeds=(0, 1, 2), optims=OPTIMS):
    """Typed rows, joined to their runs, of every optimizer at two learning rates."""
    made = [
        run_of(optim, rate, seed, task)
        for task in tasks
        for optim in optims
        for rate in (1.0, 8.0)
        for seed in seeds
    ]
    rows = text([row for rows, _ in made for row in rows])
    return probes.joined(probes.frame(rows), pd.DataFrame([own for _, own in made]))


def write(folder, made):
    """Write runs with their probe's tables as run folders."""
    owns = [run(**own, probe="decay") for _, own in made]
    write_runs(folder, owns)
    for number, (rows, own) in enumerate(made):
        lines = [json.dumps({k: v for k, v in row.items() if k != "id"}) for row in rows]
        (folder / f"{own['optim']}-{number}" / "probe.jsonl").write_text("\n".join(lines) + "\n")


def test_a_weighted_quantile_counts_weights():
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0])
    assert [shares.weighted_quantile(values, weights, q) for q in (0.25, 0.5, 0.75, 1.0)] == [
        1, 2, 2, 3,
    ]  # fmt: skip


def test_the_masses_of_the_quantiles_sum_to_one():
    assert shares.MASSES.tolist() == pytest.approx([0.15, 0.225, 0.25, 0.225, 0.15])


def test_the_spread_of_a_network_is_that_between_its_layers_too():
    # two layers, each even, a factor of 100 apart: quartiles in one and in the other
    rows = [row(np.full(100, 1e-5)), row(np.full(100, 1e-3), layer="down.weight")]
    (look,) = looks_of(rows)
    assert look["spread"] == pytest.approx(2)
    assert (look["r_25"], look["r_75"]) == (1e-5, 1e-3)
    # one that is ten times as large decides alone
    rows = [row(np.full(1000, 1e-5)), row(np.full(100, 1e-3), layer="down.weight")]
    (look,) = looks_of(rows)
    assert look["spread"] == 0


def looks_of(rows):
    runs = pd.DataFrame(
        [{"id": "a", "task": "modular", "optim": "adam", "lr": 1.0, "wd": 0.1, "seed": 0}]
    )
    table = shares.looks(probes.joined(probes.frame(text(rows)), runs))
    return table.to_dict("records")


def test_the_slope_over_layers_is_that_of_all_their_weights():
    generator = np.random.default_rng(0)
    x = [generator.normal(mean, 1, n) for mean, n in ((-2, 300), (0, 50), (1, 10))]
    y = [-0.7 * values + generator.normal(0, 0.3, len(values)) + k for k, values in enumerate(x)]
    rows = [row(10**b, 10**a, layer=f"{k}") for k, (a, b) in enumerate(zip(x, y, strict=True))]
    expected = np.polyfit(np.concatenate(x), np.concatenate(y), 1)[0]
    (look,) = looks_of(rows)
    assert look["slope"] == pytest.approx(expected, rel=1e-9)


def test_a_look_divides_by_eta_and_leaves_biases_and_norms_out_of_rotation():
    rows = [
        row([0.5, 0.5], eta=0.25, rotation=0.3),
        row([0.5, 0.5], eta=0.25, rotation=9.0, layer="norm.weight"),
        row([0.5, 0.5], eta=0.25, rotation=9.0, layer="up.bias"),
        row([0.5, 0.5], eta=0.25, rotation=0.5, rotation_predicted=None, layer="head.weight"),
    ]
    (look,) = looks_of(rows)
    assert (look["r_50"], look["rotation"]) == (2.0, pytest.approx(3.0))


def test_where_more_than_a_quarter_of_the_weights_grow_the_spread_is_beyond_bounds():
    (look,) = looks_of([row(np.linspace(-1, 1, 100), np.ones(100))])
    assert look["spread"] == math.inf
    assert look["shrinking"] == 0.5


def test_a_run_has_the_drift_of_its_median_share():
    runs = shares.per_run(shares.looks(everything(seeds=(0,))))
    drift = runs[runs["lr"] == 1].set_index("optim")["drift"]
    # root v halves twice
    assert drift["adam"] == pytest.approx(2, abs=0.4)
    assert drift.drop("adam").tolist() == pytest.approx([0, 0, 0, 0], abs=1e-9)


def test_what_answers_to_the_rate_is_told_apart():
    effect = shares.rate_effect(shares.per_run(shares.looks(everything())))
    found = effect.groupby("optim")["by_lr"].mean()
    assert found["adamw"] == pytest.approx(0, abs=1e-9)
    for optim in ("adam", "torch_adamw", "sgd"):
        assert found[optim] == pytest.approx(1, abs=1e-9)
    assert len(effect) == 3 * len(OPTIMS)


def test_the_claims_are_judged_by_what_the_table_says_at_every_rate():
    runs = shares.per_run(shares.looks(everything(("modular", "cifar10_small"))))
    rulings = why_claims.rulings(runs)
    ruled = why_claims.frame(rulings)
    own = ruled[ruled["task"] == "modular"].set_index(["optim", "claim", "lr"])
    found = own["verdict"]
    for lr in ("1", "8"):
        assert found["adam", "weights decay unevenly", lr] == "holds"
        assert found["adam", "the share goes as one over √v", lr] == "holds"
        assert found["adam", "L2 is under 1 % of v", lr] == "does not hold"
        assert found["adamw", "all weights decay alike", lr] == "holds by definition"
        assert found["adamw", "layers turn at the rate of equilibrium", lr] == "holds"
        assert found["adam", "layers turn at the rate of equilibrium", lr] == "does not hold"
    proportional = "the share is proportional to the learning rate"
    assert found["torch_adamw", proportional, "1 to 8"] == "holds by definition"
    assert found["sgd", proportional, "1 to 8"] == "holds"
    assert set(own["n"]) == {3}
    about_two = sum(claim.statistic == "by_lr" for claim in why_claims.CLAIMS)
    assert len(rulings) == 2 * (2 * len(why_claims.CLAIMS) - about_two)
    rows = why_page.summary_rows(rulings)
    assert len(rows) == len(why_claims.CLAIMS) + 1
    assert {len(line) for line in rows} == {4}
    assert rows[1] == ["Adam + L2", "weights decay unevenly", *["holds at both rates"] * 2]
    assert "not identified" not in str(rows)


def rated(*seen):
    """A table of runs of adam in which L2's share of v is as given: (lr, one value a seed)."""
    rows = [
        {"task": "modular", "optim": "adam", "lr": lr, "seed": seed, "r": 1e-3, "v_from_l2": value}
        for lr, values in seen
        for seed, value in enumerate(values)
    ]
    names = ("spread", "slope", "drift", "drift_size", "shrinking", "rotation")
    return pd.DataFrame(rows).assign(**dict.fromkeys(names, 0.5))


def ruled(*seen, claim="L2 is under 1 % of v"):
    return [one for one in why_claims.rulings(rated(*seen)) if one.claim.text == claim]


LITTLE, MUCH, WIDE = (0.001, 0.0011, 0.0012), (0.030, 0.031, 0.032), (0.004, 0.009, 0.001)


def test_where_a_claim_holds_is_said_rate_by_rate():
    assert why_claims.summary(ruled((1, LITTLE), (8, LITTLE))) == "holds at both rates"
    assert why_claims.summary(ruled((8, MUCH), (1, MUCH), (2, MUCH))) == "fails at all 3 rates"
    mixed = "holds only at lr 8; fails at lr 1 and 2"
    assert why_claims.summary(ruled((1, MUCH), (8, LITTLE), (2, MUCH))) == mixed
    assert why_claims.summary(ruled((1, LITTLE))) == "holds at lr 1"
    open_ = "holds only at lr 1; the design cannot decide at lr 8"
    assert why_claims.summary(ruled((1, LITTLE), (8, WIDE))) == open_
    alone = "holds only at lr 1; not resolved (one seed) at lr 8"
    assert why_claims.summary(ruled((1, LITTLE), (8, LITTLE[:1]))) == alone
    one_rate = ruled((1, LITTLE), claim="the share grows with the learning rate")
    assert why_claims.summary(one_rate) == "not resolved (needs two learning rates)"


def test_the_power_is_that_at_the_value_claimed_or_else_found():
    (found,) = ruled((1, WIDE))
    sd, mean = np.std(WIDE, ddof=1), np.mean(WIDE)
    assert found.power == judge.power(sd, 3, -math.inf, 0.01, mean) < judge.ENOUGH
    runs = rated((1, LITTLE)).assign(shrinking=[0.96, 0.97, 0.98])
    (found,) = (one for one in why_claims.rulings(runs) if one.claim.statistic == "shrinking")
    assert found.power == pytest.approx(judge.power(0.01, 3, 0.99, math.inf, 1))
    assert found.power != pytest.approx(judge.power(0.01, 3, 0.99, math.inf, 0.97))


def test_one_seed_resolves_nothing_and_a_missing_optimizer_is_said():
    runs = shares.per_run(shares.looks(everything(seeds=(0,), optims=("adam",))))
    rulings = why_claims.rulings(runs)
    one = why_claims.frame(rulings)
    assert set(one[one["optim"] == "adam"]["verdict"]) == {"not resolved"}
    assert set(one[one["optim"] != "adam"]["verdict"]) == {"not run yet"}
    assert why_page.summary_rows(rulings)[1][2] == "not resolved (one seed) at both rates"


def test_the_headline_counts_only_what_a_run_can_refute():
    def ruling(claim, *verdicts):
        ends = {"holds": (0.1, 0.2), "fails": (1.1, 1.2), "open": (0.5, 1.5)}
        return [judge.Ruling(claim, Estimate(0.0, *ends[one], 3), "modular") for one in verdicts]

    a, b, c, d = (
        judge.Claim(text, "share", of, "v_from_l2", high=1, by_definition=text == "d")
        for text, of in (("a", "adam"), ("b", "sgd"), ("c", "adam"), ("d", "adamw"))
    )
    rulings = [
        *ruling(a, "holds", "holds"), *ruling(b, "fails", "fails"),
        *ruling(c, "holds", "open"), *ruling(d, "holds", "holds"),
    ]  # fmt: skip
    assert why_page.headline(rulings).splitlines() == [
        "Of 3 claims that a run can refute:",
        "",
        "- *Holding at every learning rate of every task*: 1. Adam + L2: a.",
        "- *Failing at every learning rate of every task*: 1. SGD + L2: b.",
        "- *Different by learning rate or task, or not resolved*: 1. Adam + L2: c.",
    ]


def test_the_pictures_draw_every_optimizer_at_every_rate_and_scale_to_eta():
    rows = everything(seeds=(0,))
    looks = shares.looks(rows)
    figure = decay_shares.picture(rows, looks, shares.per_run(looks))
    *pairs, by_rate = figure.axes
    assert len(pairs) == 2 * 5
    low, high = pairs[::2], pairs[1::2]
    assert [label.get_text() for label in low[0].get_yticklabels()] == ["up", "norm"]
    assert "lr 8: SGD + L2, SGDW, Adam + L2" in high[0].texts[0].get_text()
    for panel in (low[1], high[1]):
        told = [text.get_text() for text in panel.get_legend().get_texts()]
        assert told == [
            "Adam + L2: slope \N{MINUS SIGN}1.00", "AdamW: slope 0.00", "torch AdamW: slope 0.00",
        ]  # fmt: skip
    assert len(low[2].lines) == len(high[2].lines) == len(by_rate.lines) / 2 == len(OPTIMS)
    # r over eta of AdamW is 1e-3 at every look and rate, torch's 1e-3 times the rate
    for panel, rate in ((low[2], 1), (high[2], 8)):
        lines = {line.get_color(): line for line in panel.lines}
        ours, theirs = (lines[style.colour(optim)] for optim in ("adamw", "torch_adamw"))
        assert ours.get_ydata() == pytest.approx([1e-3] * 3)
        assert theirs.get_ydata() == pytest.approx([1e-3 * rate] * 3)
        # where they coincide both are seen: a dashed line on a wider one
        assert theirs.is_dashed()
        assert theirs.get_linewidth() < ours.get_linewidth()
        assert theirs.get_zorder() > ours.get_zorder()
        # root v halves twice
        assert "Adam + L2: × 4" in panel.get_legend().get_texts()[0].get_text()
    # one matrix of two optimizers, and the line at 1
    drawn = [line for line in low[3].lines if len(line.get_ydata()) > 2]
    assert sorted(line.get_ydata()[0] for line in drawn) == pytest.approx([1, 2])
    assert [list(line.get_ydata()) for line in low[4].lines] == [[1, 2, 3]] * 2


def test_a_norm_that_vanishes_leaves_the_range_and_is_named():
    rows = everything(seeds=(0,), optims=("adam", "adamw"))
    vanishing = (rows["optim"] == "adam") & (rows["lr"] == 1) & (rows["layer"] == "up.weight")
    rows.loc[vanishing, "weight_norm"] = [1.0, 1e-1, 1e-15]
    looks = shares.looks(rows)
    figure = decay_shares.picture(rows, looks, shares.per_run(looks))
    low, high = figure.axes[8:10]
    assert low.get_ylim()[0] == high.get_ylim()[0] == decay_shares.VANISHED
    assert [text.get_text().strip() for text in low.texts] == ["up falls to 1e-15"]
    assert 200 < low.texts[0].xy[0] < 210
    assert not high.texts


def test_a_report_writes_tables_from_which_it_can_be_drawn_again(tmp_path):
    made = [run_of(o, rate, s) for o in ("adam", "adamw") for rate in (1.0, 8.0) for s in (0, 1)]
    write(tmp_path / "runs" / "why", made)
    told = why.write_why(tmp_path / "runs", tmp_path / "results")
    assert "weights decay unevenly" in told
    folder = tmp_path / "results" / "why"
    names = ("runs.csv", "probe.csv", "claims.csv", "why_modular.png")
    first = {name: (folder / name).read_bytes() for name in names}
    page = (tmp_path / "docs" / "why.md").read_text()
    assert "](../results/why/why_modular.png)" in page
    assert "loss_scale.png" not in page
    why.write_why(tmp_path / "none", tmp_path / "results")
    assert {name: (folder / name).read_bytes() for name in names} == first
    assert (tmp_path / "docs" / "why.md").read_text() == page
    kept = pd.read_csv(folder / "probe.csv")
    assert len(kept) == 8 * 3 * 2


def test_a_committed_row_wins_and_none_is_lost(tmp_path):
    old = text([row([0.5, 0.5]), row([0.5, 0.5], step=20)])
    new = text([row([0.1, 0.1]), row([0.1, 0.1], id="b"), row([0.1, 0.1], step=5)])
    rows = tables.merge(old, new, probes.KIND)
    assert [(row["id"], row["step"], row["r_50"]) for row in rows] == [
        ("a", "5", "0.1"), ("a", "10", "0.5"), ("a", "20", "0.5"), ("b", "10", "0.1"),
    ]  # fmt: skip


def test_damaged_tables_are_named(tmp_path, caplog):
    made = [run_of("adam", 1.0, s) for s in (0, 1)]
    write(tmp_path / "why", made)
    (tmp_path / "why" / "adam-1" / "probe.jsonl").write_text('{"step": 1}\n')
    found = probes.gather(tmp_path / "why")
    assert {row["id"] for row in found.rows} == {made[0][1]["id"]}
    assert found.corrupt == ["adam-1 ('layer')"] or "adam-1" in found.corrupt[0]
    (tmp_path / "bad.csv").write_text("id,step\n")
    with pytest.raises(UserError, match="no column 'layer', so it is no probe's table"):
        tables.read(tmp_path / "bad.csv", probes.KIND)
    with pytest.raises(UserError, match="probe's table: eta: "):
        probes.frame(text([row([1.0], eta="fast")]))
    with pytest.raises(UserError, match="no run of why has been watched"):
        why.write_why(tmp_path / "none", Path(tmp_path / "results"))


def scaled(optim, eps, scale, wd, error, **values):
    extra = {"optim.eps": eps, "loss_scale": scale}
    name = f"{optim}-{eps}-{scale}-{wd}"
    return run(id=name, optim=optim, wd=wd, test_error=float(error), **extra, **values)


def scaled_runs():
    """Under adam the threshold is 1e-3 times the scale, under adamw 2e-3; nothing at eps 1e-4."""
    rows = []
    for scale in (0.1, 1.0, 10.0):
        for wd in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
            bad = 50.0 * (wd < 1e-3 * scale * 0.99)
            rows.append(scaled("adam", 1e-8, scale, wd, bad))
            rows.append(scaled("adam", 1e-4, scale, wd, 50.0))
        for wd in (1e-3, 2e-3, 4e-3):
            rows.append(scaled("adamw", 1e-8, scale, wd, 50.0 * (wd < 2e-3)))
    return rows


def frame(rows):
    return frames.frame(tables.merge([], rows))


def test_thresholds_move_with_the_scale_of_the_loss_or_do_not():
    found = factors.thresholds(frame(scaled_runs()))
    slopes = {key: factors.by_scale(group) for key, group in found.groupby(factors.LINE)}
    assert slopes["adam", 1e-8, 1e-3] == pytest.approx(1)
    assert slopes["adamw", 1e-8, 1e-3] == pytest.approx(0)
    assert np.isnan(slopes["adam", 1e-4, 1e-3])
    rows = why_factors.scale_rows(found)
    assert rows[1:] == [
        ["Adam + L2", "1e-08", "0.001", "0.0001", "0.001", "0.01", "1.00"],
        ["Adam + L2", "0.0001", "0.001", "none", "none", "none", "-"],
        ["AdamW", "1e-08", "0.001", "0.002", "0.002", "0.002", "0.00"],
    ]


def test_a_threshold_at_the_edge_of_the_grid_is_a_bound_and_no_part_of_the_slope():
    rows = [scaled("adam", 1e-8, s, wd, 0.0) for s in (1.0, 10.0) for wd in (1e-3, 1e-2)]
    found = factors.thresholds(frame(rows))
    assert found["at_edge"].all()
    assert np.isnan(factors.by_scale(found))
    assert why_factors.scale_rows(found)[1][3] == "≤ 0.001"


def test_the_lines_of_the_loss_scale_are_told_apart_by_colour_and_dash():
    figure = loss_scale.figure(factors.thresholds(frame(scaled_runs())))
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert set(lines) == {
        "Adam + L2, epsilon 1e-8, lr 1e-3", "Adam + L2, epsilon 1e-4, lr 1e-3",
        "AdamW, epsilon 1e-8, lr 1e-3",
    }  # fmt: skip
    by_dash = {line.get_linestyle() for name, line in lines.items() if "1e-8" in name}
    assert by_dash == {"-"}
    assert lines["Adam + L2, epsilon 1e-4, lr 1e-3"].get_linestyle() == "--"


def test_a_threshold_at_the_edge_of_the_grid_is_drawn_as_one():
    rows = [scaled("adam", 1e-8, s, wd, 0.0) for s in (1.0, 10.0) for wd in (1e-3, 1e-2)]
    figure = loss_scale.figure(factors.thresholds(frame(rows)))
    (edge,) = (line for line in figure.axes[0].lines if line.get_gid() == loss_scale.EDGE)
    assert edge.get_xydata().tolist() == [[1.0, 1e-3], [10.0, 1e-3]]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[-1] == "the smallest wd of the grid: it may be less"


def test_the_arms_are_counted():
    rows = [run(optim="adam", wd=wd, test_error=e, **{"optim.eps": 1e-8})
            for wd, e in ((1e-3, 5.0), (1e-2, 20.0))]  # fmt: skip
    rows += [run(optim="adam_l2_m", wd=1e-3, test_error=5.5, **{"optim.eps": 1e-8})]
    gone = dict.fromkeys(("test_error", "test_loss", "train_error", "train_loss"))
    rows += [run(optim="adam_l2_m", wd=1e-2, status="diverged", **gone, **{"optim.eps": 1e-8})]
    assert why_factors.arm_rows(factors.arms(frame(rows)))[1:] == [
        ["Adam + L2", "1e-08", "5.00", "0.001", "0.001", "1 of 2", "0 of 2", "-"],
        ["Adam, L2 in m only", "1e-08", "5.50", "0.001", "0.001", "1 of 2", "1 of 2", "-"],
    ]


def test_the_arms_whose_decay_moves_are_told_from_those_whose_decay_stays():
    rows = []
    for optim, slope in (("adam", -1), ("adam_l2_v", None), ("adamw", 0)):
        for i in range(3):
            for j in range(6):
                good = slope is not None and j >= 3 + slope * (i - 1)
                cell = {"lr": 1e-3 * 2**i, "wd": 1e-3 * 2**j, "id": f"{optim}{i}{j}"}
                rows.append(
                    run(
                        optim=optim, test_error=0.0 if good else 50.0, **cell, **{"optim.eps": 1e-8}
                    )
                )
    found = factors.arms(frame(rows)).set_index("optim")
    assert found["slope"].to_dict() == pytest.approx(
        {"adam": -1, "adam_l2_v": np.nan, "adamw": 0}, nan_ok=True
    )
    text = why_factors.arm_verdict(found.reset_index())
    assert "come Adam + L2 / AdamW; Adam, L2 in v only does not." in text
    assert "or faster under Adam + L2;" in text
    assert "or not at all, under AdamW; the cells do not say of Adam, L2 in v only." in text


def test_a_best_cell_beside_diverged_ones_is_not_at_the_edge():
    gone = dict.fromkeys(("test_error", "test_loss", "train_error", "train_loss"))
    gone |= {"status": "diverged"}
    rows = []
    for lr, best in ((1e-3, 1e-2), (4e-3, 1e-3)):
        for wd in (1e-4, 1e-3, 1e-2, 1e-1):
            error = {"test_error": 20.0 if wd == best else 21.0} if wd <= best else gone
            cell = {"optim": "adam", "lr": lr, "wd": wd, "id": f"{lr}{wd}", "optim.eps": 1e-8}
            rows.append(run(**cell | error))
    (slope,) = factors.arms(frame(rows))["slope"]
    assert slope == pytest.approx(-np.log(10) / np.log(4))


def test_the_page_shows_what_else_has_been_run(tmp_path):
    write(tmp_path / "runs" / "why", [run_of("adam", 1.0, s) for s in (0, 1)])
    write_runs(tmp_path / "runs" / "loss_scale", scaled_runs())
    arms = [run(optim="adam", id="x", **{"optim.eps": 1e-8})]
    write_runs(tmp_path / "runs" / "factorial_modular", arms)
    why.write_why(tmp_path / "runs", tmp_path / "results")
    page = (tmp_path / "docs" / "why.md").read_text()
    assert "[factorial_modular](../results/factorial_modular/README.md)" in page
    assert "| Adam + L2 | 1e-08 | 0.001 | 0.0001 | 0.001 | 0.01 | 1.00 |" in page
    assert (tmp_path / "results" / "why" / "loss_scale.png").exists()
    # what L2 is of v in the synthetic runs
    assert "Of v in the median layer, L2 is: 25 % at lr 1 (a + b mod p)" in page
