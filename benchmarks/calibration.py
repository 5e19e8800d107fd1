"""python -m benchmarks.calibration: how often intervals of slopes hold, and how often they decide.

Surfaces with a known slope are made, runs are drawn from them, and the slope is estimated as in any
report. Coverage is the share of the surfaces whose 95 % interval holds the true slope; power, at
slope 0, the share whose verdict is that the best decay stays (the interval within 0.25 of 0).
"""

import argparse
import logging
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.record import files
from experiments.report.data.panels import Panel, average
from experiments.report.data.text import csv, formatted, markdown
from experiments.report.figures import style
from experiments.report.statistics.estimate import Estimate
from experiments.report.statistics.judge import HOLDS, judge, power_of
from experiments.report.statistics.measure import measure_one
from experiments.report.statistics.noise import seed_noise
from experiments.report.statistics.paper_claims import STILL
from experiments.report.statistics.settings import ESTIMATORS, Settings

log = logging.getLogger("benchmarks")
RESULTS = Path(__file__).parents[1] / "results" / "calibration"
SLOPES, NOISES, ROWS, STEPS = (0.0, -1.0, -1.5), (0.3, 0.6, 1.0), (3, 8), (2, 3)
RATES, SEEDS = 8, 3
#: Octaves by which the true best decay of a row lies off the straight ridge.
JITTER = 0.2
#: What is asked for: of every setting, and at slope 0 of the noisiest with 3 seeds and 8 rows.
COVERAGE, POWER = 0.92, 0.70


@dataclass(frozen=True)
class Setting:
    """A kind of surface.

    Attributes:
        slope: True d log2 wd* / d log2 lr.
        noise: Sd of a run's error at the optimum, percent points; it grows away from it.
        rows: About how many of the learning rates come within 2 points of the best.
        step: Factor between the decays of the grid.
    """

    slope: float
    noise: float
    rows: int
    step: float


SETTINGS = [Setting(*values) for values in product(SLOPES, NOISES, ROWS, STEPS)]


def panel(setting: Setting, seed: int) -> Panel:
    """Draw the runs of three seeds from a surface.

    Its valley has a kink: under too little decay the error rises slowly to a plateau, under too
    much steeply. The grid is offset at random, single rows lie off the ridge, and a seed adds half
    the noise to all cells.
    """
    generator = np.random.default_rng([seed, *(int(100 * abs(v)) for v in vars(setting).values())])
    octave = np.log2(setting.step)
    log_lr = np.arange(RATES) - generator.integers(3, 5) + generator.uniform(-0.5, 0.5)
    span = abs(setting.slope) * (RATES - 1 if setting.rows == RATES else 4) + 6
    count = int(np.ceil(span / octave)) + 1
    middle = setting.slope * (log_lr.mean() if setting.rows == RATES else 0)
    log_wd = (np.arange(count) - (count - 1) / 2 + generator.uniform(-0.5, 0.5)) * octave + middle
    best = setting.slope * log_lr + JITTER * generator.standard_normal(RATES)
    off = log_wd - best[:, None]
    floor = 40 + (0.05 if setting.rows == RATES else 1.2) * log_lr**2
    rise = np.where(off < 0, 5 * (1 - np.exp(0.27 * off)), np.minimum(1.5 * off + off**2 / 2, 40))
    error = floor[:, None] + rise
    sd = setting.noise * (1 + (error - error.min()) / 10)
    drawn = error + sd * generator.standard_normal((SEEDS, *error.shape))
    drawn += 0.5 * setting.noise * generator.standard_normal((SEEDS, 1, 1))
    grid = pd.MultiIndex.from_product(
        [np.arange(SEEDS, dtype=float), 2.0**log_lr, 2.0**log_wd], names=["seed", "lr", "wd"]
    )
    runs = pd.DataFrame({"test_error": drawn.ravel(), "test_loss": drawn.ravel()}, grid)
    runs = runs.reset_index().assign(
        status="finished", clipped="", eta_sum=1.0, steps=1.0, epochs=1.0, convention="decoupled"
    )
    runs["weight_decay"] = runs["wd"]
    return Panel({"optim": "adamw"}, runs, average(runs, "test_error"), "AdamW")


def slope(setting: Setting, seed: int, estimator: str) -> Estimate:
    """Estimate the slope of one surface."""
    settings = Settings(estimator=estimator)
    drawn = panel(setting, seed)
    noise = seed_noise(drawn, settings.metric)
    return measure_one(drawn, noise, settings, only=["ridge_slope"]).slope


def calibrate(setting: Setting, estimator: str, surfaces: int) -> dict[str, float | str]:
    """Return what the intervals of one kind of surface come to.

    Args:
        setting: The kind.
        estimator: One of ``ESTIMATORS``.
        surfaces: How many.

    Returns:
        The setting; coverage, width and bias of the intervals that there are; stays, the share of
        the surfaces of which the verdict is that the best decay stays; predicted, what the widths
        of the intervals say of that share if the slope were 0 (``power_of``); none, the share
        without an interval.
    """
    found = [slope(setting, seed, estimator) for seed in range(surfaces)]
    known = [one for one in found if not one.reason and np.isfinite(one.low)]
    covered = [one.low <= setting.slope <= one.high for one in known]
    return {"estimator": estimator, **vars(setting)} | {
        "coverage": float(np.mean(covered)),
        "width": float(np.mean([one.high - one.low for one in known])),
        "bias": float(np.mean([one.value for one in known]) - setting.slope),
        "stays": float(np.mean([judge(one, -STILL, STILL) == HOLDS for one in found])),
        "predicted": float(np.mean([power_of(one, -STILL, STILL, 0.0) for one in known])),
        "none": 1 - len(known) / surfaces,
        "surfaces": surfaces,
    }


def main() -> None:
    """Calibrate both estimators in every setting and write results/calibration.

    A setting whose row rests on as many surfaces already is not made again.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--surfaces", type=int, default=200, help="a setting")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the table is written")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    os.environ["OMP_NUM_THREADS"] = "1"
    file = arguments.results / "calibration.csv"
    found = pd.read_csv(file) if file.exists() else pd.DataFrame()
    planned = [
        (estimator, setting)
        for estimator, setting in product(ESTIMATORS, SETTINGS)
        if _surfaces(found, estimator, setting) < arguments.surfaces
    ]
    with ProcessPoolExecutor() as pool:
        waiting = [pool.submit(calibrate, *one[::-1], arguments.surfaces) for one in planned]
        for (estimator, setting), one in zip(planned, waiting, strict=True):
            row = one.result()
            log.info("%s", " ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}"
                                    for k, v in row.items()))  # fmt: skip
            if len(found):
                found = found[~_is_of(found, estimator, setting)]
            found = pd.concat([found, pd.DataFrame([row])], ignore_index=True)
            files.write(file, csv(found))
    found = found.sort_values(
        ["estimator", *vars(SETTINGS[0])], ascending=[False, False, True, True, True]
    )
    files.write(file, csv(found))
    for kind, data in style.render(figure(found)).items():
        files.write(arguments.results / f"calibration.{kind}", data)
    files.write(arguments.results / "README.md", page(found))
    log.info("wrote %s", arguments.results)


def _is_of(found: pd.DataFrame, estimator: str, setting: Setting) -> pd.Series:
    at = found["estimator"] == estimator
    for name, value in vars(setting).items():
        at &= np.isclose(found[name], value)
    return at


def _surfaces(found: pd.DataFrame, estimator: str, setting: Setting) -> int:
    """Return how many surfaces a setting's row rests on; 0 without one."""
    return int(found.loc[_is_of(found, estimator, setting), "surfaces"].sum()) if len(found) else 0


def page(found: pd.DataFrame) -> str:
    """Return results/calibration/README.md."""
    own = found[found["estimator"] == "gp"]
    decides = own[(own["slope"] == 0) & (own["noise"] == max(NOISES)) & (own["rows"] == RATES)]
    head = ["true slope", "noise", "rows near the best", "wd step"]
    head += ["coverage", "width", "bias", "decides “stays”", "predicted for 0"]
    head += ["argmin: coverage", "“stays”"]
    keys = ["slope", "noise", "rows", "step"]
    rival = found[found["estimator"] == "argmin"]
    both = own.merge(rival, how="left", on=keys, suffixes=("", "_argmin"))
    made = sorted(set(own["surfaces"].astype(int)))
    table = [head] + [
        [*(f"{row[key]:g}" for key in keys),
         f"{row['coverage']:.2f}", f"{row['width']:.2f}", formatted(row["bias"], "+.2f"),
         f"{row['stays']:.0%}", f"{row['predicted']:.0%}",
         *(["-", "-"] if np.isnan(row["coverage_argmin"]) else
           [f"{row['coverage_argmin']:.2f}", f"{row['stays_argmin']:.0%}"])]
        for row in both.to_dict("records")
    ]  # fmt: skip
    return (
        "<!-- generated by python -m benchmarks.calibration -->\n\n# Calibration of the slopes\n\n"
        f"{' to '.join(map(str, made[:1] + made[1:][-1:]))} simulated surfaces a setting, "
        f"{RATES} learning rates, "
        f"{SEEDS} seeds; {own['coverage'].ge(COVERAGE).sum()} of {len(own)} settings reach a "
        f"coverage of {COVERAGE} (lowest {own['coverage'].min():.2f}, mean "
        f"{own['coverage'].mean():.2f}). With slope 0, noise {max(NOISES):g} and {RATES} rows near "
        f"the best, “stays” is decided in "
        f"{' and '.join(f'{row.stays:.0%} (wd step {row.step:g})' for row in decides.itertuples())}"
        f" of the cases; {POWER:.0%} were aimed at.\n\n"
        "Noise is the standard deviation of a run in points of the error; width that of the 95 % "
        "interval. “Predicted” is the power that reports print: what the widths of the intervals "
        "say of a slope of exactly 0. `argmin` takes the lowest cell of each learning rate and "
        "resamples seeds.\n\n"
        "![Coverage and power](calibration.png)\n\n"
        f"{markdown(table)}\n"
    )


def figure(found: pd.DataFrame) -> Figure:
    """Draw coverage of every setting, and the share of “stays” at slope 0, for both estimators."""
    drawn = style.figure(8.4, 2.9)
    left, right = drawn.subplots(1, 2, width_ratios=[3, 2])
    looks = {"gp": ("#0072b2", "o", "Gaussian process"), "argmin": ("#d55e00", "x", "lowest cell")}
    for estimator, (colour, marker, label) in looks.items():
        own = found[found["estimator"] == estimator].reset_index(drop=True)
        left.plot(own.index, own["coverage"], marker, color=colour, ms=4, label=label)
        still = own[own["slope"] == 0].reset_index(drop=True)
        right.plot(still.index, 100 * still["stays"], marker, color=colour, ms=4, label=label)
    own = found[found["estimator"] == "gp"].reset_index(drop=True)
    still = own[own["slope"] == 0].reset_index(drop=True)
    names = [f"{r.noise:g} / {r.rows} / {r.step:g}" for r in own.itertuples()]
    still_names = names[: len(still)]
    left.axhline(0.95, color="0.6", lw=0.8)
    left.set_xticks(own.index, names, rotation=90)
    for i, value in enumerate(SLOPES):
        width = len(own) / len(SLOPES)
        left.text((i + 0.5) * width - 0.5, 0.02, f"slope {value:g}", ha="center",
                  transform=left.get_xaxis_transform(), fontsize=style.FONT)  # fmt: skip
        if i:
            left.axvline(i * width - 0.5, color="0.85", lw=0.8)
    left.set(ylabel="intervals that hold\nthe true slope (share)")
    right.set_xticks(still.index, still_names, rotation=90)
    right.set(ylabel="decided as “stays” at slope 0 (%)", ylim=(-3, 103))
    for ax in (left, right):
        style.plain(ax)
        ax.set_xlabel("noise (points) / rows near the best / wd step")
        ax.xaxis.label.set_size(style.FONT)
        ax.yaxis.label.set_size(style.FONT)
    style.legend(right, style.FONT)
    return drawn


if __name__ == "__main__":
    main()
