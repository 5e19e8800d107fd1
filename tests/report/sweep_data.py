"""Sweeps with a known answer for the statistics and figures of special experiments."""

import numpy as np
import pandas as pd

from experiments.report.data import curves
from experiments.report.data.panels import panels
from experiments.report.statistics.delay import delays
from experiments.report.statistics.grokking import in_steps
from experiments.report.statistics.measure import measure
from experiments.report.statistics.settings import Settings
from tests.report.report_data import frame, run

LOSS_RATES, LOSS_DECAYS = (0.001, 0.002, 0.004), (0.0, 1e-4, 2e-4, 4e-4, 8e-4)
SPARING = {"none": 0.0, "norm_and_bias": -0.1, "embeddings_too": 0.0}
STEP_RATES = tuple(2.0 ** np.arange(-10, -5))
STEP_DECAYS = (0.0, *(2.0 ** np.arange(-12, -3)))
EVALUATED = (50, 100, 200, 400, 800, 1000)


def losses(gain=0.1, sd=0.0, seeds=(0, 1, 2), optim="adamw", decays=LOSS_DECAYS):
    """Runs whose best rate is 0.002; the best decay, 2e-4, lowers test and half the train loss."""
    generator = np.random.default_rng(0)
    found = []
    for lr in LOSS_RATES:
        for wd in decays:
            for seed in seeds:
                off = abs(np.log2(lr / 0.002)) + (abs(np.log2(wd / 2e-4)) if wd else 0)
                fall = gain / (1 + off) if wd else 0
                noise = sd * generator.standard_normal(2)
                base = 2 + 0.05 * abs(np.log2(lr / 0.002))
                found.append(
                    run(optim=optim, lr=lr, wd=wd, seed=seed, test_loss=base - fall + noise[0],
                        train_loss=base - 0.5 - fall / 2 + noise[1])
                )  # fmt: skip
    return found


def sizes(power=-1.0, sizes=(1000, 2000, 4000)):
    """Runs of law_data whose best decay is 2^-7 at 2,000 examples and moves as their power."""
    return [
        run(experiment="law_data", task="cifar10_tiny", lr=lr, wd=2.0**k, seed=seed,
            train_size=size, id=f"{size}-{lr}-{k}-{seed}",
            test_error=40 + 1.5 * off**2 + 0.1 * seed)
        for size in sizes
        for lr in (0.004, 0.008, 0.016)
        for k in range(-11, -3)
        for off in [k + 7 - power * np.log2(size / 2000)]
        for seed in (0, 1)
    ]  # fmt: skip


def sparing(task="shakespeare", sd=0.01, seeds=range(4), effect=SPARING):
    """Runs at two rates and two decays; a seed adds the same, and much, to all three."""
    generator = np.random.default_rng(0)
    shared = {seed: generator.standard_normal() for seed in seeds}
    return [
        run(task=task, lr=lr, wd=wd, seed=seed, no_decay=spared, id=f"{task}{lr}{wd}{seed}{spared}",
            test_loss=2 + lr + shared[seed] + change + sd * generator.standard_normal(),
            test_error=50 + 10 * shared[seed] + 10 * change + sd * generator.standard_normal())
        for lr in (0.001, 0.002)
        for wd in (0.01, 0.04)
        for seed in seeds
        for spared, change in effect.items()
    ]  # fmt: skip


def time(slope, lr, wd, seed):
    """Steps until it generalizes: 400 at the threshold 2^-8, half as many at twice the decay.

    At half of it never, as at no decay.
    """
    away = np.log2(wd) + 8 - slope * (np.log2(lr) + 8) if wd else -9
    return 400 * 2.0 ** (-away) * (1 + 0.1 * seed) if away > -0.5 else np.inf


def steps(slope=-1.0, optim="adamw", task="modular", seeds=(0, 1), **values):
    """Runs of 1,000 steps, and their points."""
    found, points = [], {}
    for lr in STEP_RATES:
        for wd in STEP_DECAYS:
            for seed in seeds:
                name = f"{optim}{task}{lr}{wd}{seed}"
                at = time(slope, lr, wd, seed)
                found.append(
                    run(id=name, optim=optim, task=task, lr=lr, wd=wd, seed=seed, steps=1000,
                        test_error=0.0 if at <= 1000 else 50.0, **values)
                )  # fmt: skip
                points[name] = [
                    {"step": step, "epoch": step / 10, "test_error": 1.0 if step >= at else 50.0,
                     "train_error": 0.0 if step >= 100 else 90.0}
                    for step in EVALUATED
                ]  # fmt: skip
    return found, points


def typed(points):
    """Points of runs by id as the typed frame of learning curves."""
    return curves.frame(
        pd.DataFrame([curves._point(name, p) for name, own in points.items() for p in own])
    )


def measured(rows, metric="test_error", planned=None, **settings):
    """Measure the panels of rows."""
    return measure(
        panels(frame(rows), metric, planned), Settings(metric=metric, **{"samples": 200} | settings)
    )


def panels_in_steps(*sweeps, planned=None):
    """Measure sweeps of ``steps`` in steps; return the panels and the typed points."""
    runs = [row for found, _ in sweeps for row in found]
    points = typed({name: own for _, part in sweeps for name, own in part.items()})
    page = measured(runs, planned=planned, level=5.0)
    return [in_steps(one, points, 5.0) for one in page], points


def delayed(optim="adamw", exponents=(-1.0, 0.0), sd=0.4, seeds=range(6), budget=2490, **values):
    """Runs that fit their training set after 100 steps and generalize by a power law, and points.

    The delay is 400 steps at lambda 2e-3 and lr 2e-3; both sets are looked at every 15 steps.
    """
    generator = np.random.default_rng(0)
    found, points = [], {}
    for seed in seeds:
        for lr in (5e-4, 2e-3, 8e-3):
            for wd in (0.0, *(2e-3 * 2.0 ** np.arange(-4, 4))):
                name = f"{optim}{lr}{wd}{seed}"
                law = (wd / 2e-3) ** exponents[0] * (lr / 2e-3) ** exponents[1] if wd else np.inf
                at = 100 + 400 * law * np.exp(sd * generator.standard_normal())
                looks = {*range(15, 136, 15), 495, budget, 15 * np.ceil(min(at, 1e6) / 15)}
                found.append(
                    run(id=name, optim=optim, lr=lr, wd=wd, seed=seed, steps=budget, **values)
                )
                points[name] = [
                    {"step": step, "epoch": step / 10, "test_error": 1.0 if step >= at else 50.0,
                     "train_error": 0.0 if step >= 100 else 90.0}
                    for step in sorted(looks)
                    if step <= budget
                ]  # fmt: skip
    return found, points


def delays_of(*sweeps):
    """Read the delays of sweeps of ``delayed``."""
    runs = [row for found, _ in sweeps for row in found]
    points = typed({name: own for _, part in sweeps for name, own in part.items()})
    return [delays(one, points, 5.0) for one in measured(runs, level=5.0)]
