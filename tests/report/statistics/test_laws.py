"""Laws beyond the paper, judged by tables in which the answer is known."""

import math
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest

from experiments.record import tables
from experiments.report.data import probes
from experiments.report.data.text import csv, read_csv
from experiments.report.statistics import laws
from experiments.report.statistics.budget import BEND
from experiments.report.statistics.estimate import Estimate
from experiments.report.statistics.judge import FAILS, HOLDS, NOT_RUN
from tests.report import probe_data
from tests.report.report_data import run

LAWS = {law.name: law for law in laws.LAWS}
RATES, DECAYS = (0.004, 0.008, 0.016), 2.0 ** np.arange(-11, -3)


def write(folder, experiment, rows):
    path = tables.file(folder, experiment)
    path.parent.mkdir(parents=True)
    path.write_text(tables.render(tables.merge([], rows)))


def rows_of(power, quantity="train_size", values=(1000, 2000, 4000, 8000), sd=0.1, **settings):
    """A sweep whose best decay is 2^-7 at 2,000 of the quantity and moves as its power."""
    draw = np.random.default_rng(0).standard_normal
    found = []
    for at in values:
        for lr in RATES:
            for wd in DECAYS:
                off = np.log2(wd) + 7 - power * np.log2(at / values[1])
                for seed in range(3):
                    error = 40 + 1.5 * off**2 + 0.3 * np.log2(lr / 0.008) ** 2 + sd * draw()
                    found.append(
                        run(lr=lr, wd=float(wd), seed=seed, test_error=error,
                            id=f"{at}-{lr}-{wd}-{seed}", **{quantity: at}, **settings)
                    )  # fmt: skip
    return found


def judged(law, folder):
    return law.judge(folder, law, laws.families(folder, law))


@pytest.mark.parametrize(
    ("power", "verdicts"), [(-1.0, [HOLDS, FAILS]), (-0.5, [FAILS, HOLDS]), (0.0, [FAILS, FAILS])]
)
def test_rows_exclude_the_rule_that_they_do_not_follow(tmp_path, power, verdicts):
    write(tmp_path, "law_data", rows_of(power))
    law = replace(LAWS["data"], others={})
    found = judged(law, tmp_path)
    assert [one.claim.exact for one in found] == [-1.0, -0.5]
    assert [one.verdict for one in found] == verdicts
    assert found[0].found.low < power < found[0].found.high
    assert {one.task for one in found} == {"law_data"}
    assert min(x for one in found for x in (one.power, one.against)) > 0.8


@pytest.mark.parametrize(("power", "verdicts"), [(0, [HOLDS, FAILS]), (-1, [FAILS, HOLDS])])
def test_of_the_width_it_is_also_judged_where_the_best_rate_goes(tmp_path, power, verdicts):
    draw = np.random.default_rng(0).standard_normal
    rows = [
        run(lr=2.0**k, wd=wd, seed=seed, id=f"{width}-{k}-{wd}-{seed}", **{"model.width": width},
            test_error=40 + 1.5 * (k + 7 - power * np.log2(width / 128)) ** 2
            + (np.log2(wd) + 7) ** 2 + 0.1 * draw())
        for width in (64.0, 128.0, 256.0)
        for k in range(-10, -3)
        for wd in DECAYS
        for seed in range(2)
    ]  # fmt: skip
    write(tmp_path, "law_width", rows)
    found = [one for one in judged(LAWS["width"], tmp_path) if "lr*" in one.claim.text]
    assert [one.verdict for one in found] == verdicts
    assert found[0].found.low < power < found[0].found.high


def test_panels_that_differ_in_more_than_the_quantity_are_judged_apart(tmp_path):
    texts = [
        one | {"task": "shakespeare", "test_loss": one["test_error"] / 100, "id": f"t{one['id']}"}
        for one in rows_of(0.5, "batch_size", (32, 128, 512))
    ]
    write(tmp_path, "law_batch", rows_of(1.0, "batch_size", (32, 128, 512)) + texts)
    found = judged(LAWS["batch"], tmp_path)
    assert [(one.task, one.claim.exact, one.verdict) for one in found] == [
        ("law_batch, a + b mod p", 1.0, HOLDS), ("law_batch, a + b mod p", 0.5, FAILS),
        ("law_batch, Shakespeare", 1.0, FAILS), ("law_batch, Shakespeare", 0.5, HOLDS),
    ]  # fmt: skip


def test_rows_of_other_experiments_are_judged_besides_and_by_name(tmp_path):
    own = rows_of(0.0, "epochs", (25.0, 100.0, 400.0), steps=100, task="cifar10")
    other = [one | {"figure": "figure2", "id": f"other-{one['id']}"} for one in own]
    write(tmp_path, "paper", other + [one | {"figure": "figureS3"} for one in own])
    found = judged(LAWS["epochs"], tmp_path)
    assert {one.task for one in found} == {"the paper's cells: 25, 100 and 400 epochs"}
    assert [one.verdict for one in found] == [HOLDS, FAILS]
    assert found[0].found.basis.startswith("72 cells")  # those of the other figure are left out


@pytest.mark.parametrize("name", LAWS)
def test_a_law_without_rows_has_no_ruling(tmp_path, name):
    assert judged(LAWS[name], tmp_path) == []


def pairs(gain, shift):
    """Cautious decay lowers the loss by so many nats, and its best decay is so many octaves off."""
    found = []
    for seed in range(5):
        noise = 0.02 * np.random.default_rng(seed).standard_normal()
        for cautious in (False, True):
            for k in range(6):
                off = k - 2 - shift * cautious + noise
                loss = 2 + noise + 0.1 * off**2 - gain * cautious * (1 + noise)
                found.append(
                    run(wd=2.0 ** (k - 9), seed=seed, test_loss=loss, id=f"{seed}-{cautious}-{k}",
                        **{"optim.cautious": cautious})
                )  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("gain", "shift", "values", "verdicts"),
    [
        (0.05, 0, [-0.05, -0.05, 0.0], [HOLDS, HOLDS, HOLDS]),
        (0.05, 1, [0.05, -0.05, 1.0], [FAILS, HOLDS, FAILS]),
        (-0.05, 1, [0.15, 0.05, 1.0], [FAILS, FAILS, FAILS]),
    ],
)
def test_cautious_decay_is_judged_at_adamws_best_decay_and_at_its_own(
    tmp_path, gain, shift, values, verdicts
):
    write(tmp_path, "law_cautious", pairs(gain, shift))
    found = judged(LAWS["cautious"], tmp_path)
    assert [one.verdict for one in found] == verdicts
    assert [one.found.value for one in found] == pytest.approx(values, abs=0.03)
    assert found[0].found.basis == "5 seeds"


def test_a_best_decay_at_the_edge_of_the_grid_shifts_by_no_known_number(tmp_path):
    write(tmp_path, "law_cautious", pairs(0.0, 3))
    assert judged(LAWS["cautious"], tmp_path)[-1].found.text() == "not identified"


def bent(low, high):
    """Rows of law_data whose exponent is one below 2,000 examples and another above."""
    return [
        one for at in (500, 1000, 2000, 4000, 8000)
        for one in rows_of(low if at < 2000 else high, values=(at, 2000))
        if one["train_size"] == at
    ]  # fmt: skip


def test_where_the_points_bend_the_interval_covers_both_halves(tmp_path):
    write(tmp_path, "law_data", bent(0.0, -1.0))
    found = judged(replace(LAWS["data"], others={}), tmp_path)[0].found
    assert found.low < -0.95
    assert found.high > -0.05
    assert BEND in found.note
    assert "from 500 to 2,000" in found.note


def test_where_they_do_not_it_is_that_of_the_one_exponent(tmp_path):
    write(tmp_path, "law_data", bent(-1.0, -1.0))
    found = judged(replace(LAWS["data"], others={}), tmp_path)[0].found
    assert found.high - found.low < 0.3
    assert BEND not in found.note
    assert "measured from 500 to 8,000" in found.note


def test_a_rule_predicts_from_all_in_which_the_rows_differ(tmp_path):
    """Where the more data there are the fewer epochs, n t is what the normalized decay keeps."""
    rows = [one | {"epochs": 4e4 / one["train_size"]} for one in rows_of(-1.0)]
    write(tmp_path, "others", rows)
    law = replace(LAWS["data"], others={"others": (laws.Rows("others"),)})
    averaging, normalized = judged(law, tmp_path)
    assert (averaging.claim.exact, normalized.claim.exact) == (-1.0, 0.0)
    assert (normalized.claim.low, normalized.claim.opposite) == (-0.25, -1.0)
    (back,) = laws.read(read_csv(StringIO(csv(laws.table({"data": [normalized]})))))["data"]
    assert back.claim == normalized.claim


def test_decay_by_the_square_of_the_schedule_is_judged_by_the_best_error(tmp_path):
    found = []
    for p, better in ((0, -2.0), (1, 0.0), (2, 3.0)):
        found += [
            one | {"test_error": one["test_error"] - better, "optim.decay_power": p,
                   "train_size": 2000, "id": f"{p}-{one['id']}"}
            for one in rows_of(0.0, values=(1000, 2000))
            if one["train_size"] == 2000
        ]  # fmt: skip
    write(tmp_path, "law_schedule", found)
    square, none = judged(LAWS["schedule"], tmp_path)  # without a probe nothing else is judged
    assert (square.verdict, none.verdict) == (HOLDS, HOLDS)
    assert square.found.value == pytest.approx(-3, abs=0.3)
    assert none.found.value == pytest.approx(2, abs=0.3)


def test_the_angle_is_that_of_the_second_half_by_whether_a_norm_stands_behind(tmp_path):
    runs, looks = [], []
    for seed in range(3):
        key = f"run-{seed}"
        runs.append(run(id=key, seed=seed, steps=100, lr=0.002, schedule="constant"))
        for step, ratio in ((10, 2.0), (30, 9.0), (60, 1.0), (90, 1.0)):
            for layer, factor in (("blocks.0.conv1.weight", 1.0), ("stem.weight", 1.0),
                                  ("blocks.0.up.weight", 0.4), ("head.weight", 0.4),
                                  ("blocks.0.norm1.weight", 7.0)):  # fmt: skip
                angle = 0.1 * ratio * factor * (1 + 0.01 * seed)
                looks.append(
                    probe_data.row([0.1] * 20, id=key, step=step, layer=layer, rotation=angle,
                                   rotation_predicted=0.1)
                )  # fmt: skip
    write(tmp_path, "law_rotation", runs)
    kept = [{name: tables.text(value) for name, value in one.items()} for one in looks]
    path = tmp_path / "law_rotation" / probes.FILE
    path.write_text(tables.render(tables.merge([], kept, probes.KIND), probes.KIND))
    behind, bare, early = judged(LAWS["rotation"], tmp_path)
    assert behind.task == "norm behind, constant, lr 0.002, λ 0.01, law_rotation"
    assert early.task == "norm behind, constant, lr 0.002, λ 0.01, law_rotation, first fifth"
    assert [bool(one.claim.source) for one in (behind, bare, early)] == [True, False, False]
    assert early.found.value == pytest.approx(2.02)
    assert (behind.verdict, bare.verdict) == (HOLDS, FAILS)
    assert behind.found.value == pytest.approx(1.01)
    assert bare.found.value == pytest.approx(0.404)


def test_a_table_of_rulings_is_read_back_as_it_was(tmp_path):
    write(tmp_path, "law_data", rows_of(-1.0))
    found = judged(LAWS["data"], tmp_path)
    back = laws.read(read_csv(StringIO(csv(laws.table({"data": found})))))["data"]
    for one, other in zip(found, back, strict=True):
        assert (other.claim, other.task, other.verdict) == (one.claim, one.task, one.verdict)
        assert other.found.text() == one.found.text()
        assert other.power == pytest.approx(one.power, abs=1e-5)


def test_a_claim_that_no_row_is_about_is_not_run():
    (claim, _) = LAWS["batch"].claims
    assert laws.Ruling(claim, None).verdict == NOT_RUN


def test_rules_on_one_quantity_are_each_others_opposites():
    for law in (LAWS["data"], LAWS["epochs"], LAWS["batch"]):
        averaging, normalized = law.claims
        assert (averaging.exact, averaging.opposite) == (normalized.opposite, normalized.exact)
        assert not averaging.low < normalized.exact < averaging.high
    assert [one.exact for one in LAWS["width"].claims] == [0.0, -0.5, -1.0, 0.0, -1.0]


def test_the_power_supposes_what_is_claimed():
    claim = LAWS["data"].claims[0]
    exact = laws.ruled(claim, Estimate(-1.0, -1.1, -0.9, 9), "")
    assert (exact.verdict, exact.power) == (HOLDS, pytest.approx(1.0, abs=0.01))
    vague = laws.ruled(claim, Estimate(-1.0, -1.5, -0.5, 9), "")
    assert vague.power < 0.1
    assert math.isnan(laws.ruled(claim, Estimate(-1.0), "").power)


def test_norms_and_gradients_are_followed_from_the_middle_of_a_run_to_its_end(tmp_path):
    """Of cells with one rate and total shrink; under eta squared gradients grow half as far."""
    runs, looks = [], []
    for p, share in ((1, 1 / 2), (2, 3 / 8)):
        for one in rows_of(0.0, values=(1000, 2000)):
            key = f"{p}-{one['id']}"
            if one["train_size"] == 1000:
                continue
            one |= {"id": key, "optim.decay_power": p, "steps": 100, "eta_sum": 100 * share}
            one["wd"] *= 1 / 2 / share
            runs.append(one)
            growth = 2 ** (2 * one["seed"] + 4 / p)
            for step, norm, length in ((30, 50.0, 1.0), (60, 1.0, 1.0), (95, growth, p / 2)):
                for layer, factor in (("stem.weight", 1.0), ("head.weight", step)):
                    looks.append(
                        probe_data.row([0.1] * 20, id=key, step=step, layer=layer,
                                       gradient_norm=norm * factor, weight_norm=length)
                    )  # fmt: skip
    write(tmp_path, "law_schedule", runs)
    kept = [{name: tables.text(value) for name, value in one.items()} for one in looks]
    path = tmp_path / "law_schedule" / probes.FILE
    path.write_text(tables.render(tables.merge([], kept, probes.KIND), probes.KIND))
    found = {one.claim.statistic: one for one in judged(LAWS["schedule"], tmp_path)}
    assert found["norm_2"].found.value == pytest.approx(0.0)
    assert found["norm_1"].found.value == pytest.approx(-1.0)
    assert found["gradients"].found.value == pytest.approx(-2.0)
    assert [found[name].verdict for name in ("norm_1", "norm_2", "gradients")] == [HOLDS] * 3
