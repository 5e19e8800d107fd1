"""Effects of a seed on whole panels; they mostly cancel between panels with the same seeds.

At one seed all optimizers start from the same weights and see the same batches.
"""

from collections.abc import Sequence

import numpy as np

from experiments.report.data.panels import Panel, seed_table
from experiments.report.statistics.noise import seed_effects
from experiments.report.statistics.resample import of_cells


def offsets(
    panels: Sequence[Panel], metric: str, near: float, samples: int
) -> tuple[np.ndarray, str]:
    r"""Draw how far the mean over seeds of each panel lies from that over all possible seeds.

    With :math:`c_{ps}` what seed s adds to panel p (the mean deviation over its cells within
    ``near`` of the best), panels that have the same seeds share :math:`\bar c_s`; what is left has
    a variance of its own, from which the share of the cells' noise is taken. Both are drawn from
    Student's t with (seeds - 1) and (panels - 1)(seeds - 1) degrees of freedom.

    Args:
        panels: To be compared.
        metric: In whose unit the offsets are.
        near: How far above the best a cell may be.
        samples: How many.

    Returns:
        Shape (samples, panels), 0 where a panel has one seed; and how panels were paired, in words.
    """
    draw = of_cells(panels, metric)
    tables = [_near(panel, metric, near) for panel in panels]
    seeds = [_seeds(panel, metric) for panel in panels]
    count = len(seeds[0])
    if len(panels) == 1 or count < 2 or any(own != seeds[0] for own in seeds):
        drawn = [_drawn(*_effects(table), len(table.T), samples, draw) for table in tables]
        return np.stack(drawn, 1), "" if len(panels) == 1 or count < 2 else "seeds not paired"
    found = [_effects(table) for table in tables]
    effects = np.stack([own for own, _ in found])
    shared = effects.mean(0)
    left = effects - shared
    freedom = (len(panels) - 1) * (count - 1)
    excess = max((left**2).sum() / freedom - float(np.mean([noise for _, noise in found])), 0.0)
    own = draw.standard_t(freedom, (samples, len(panels))) * np.sqrt(excess / count)
    common = _drawn(shared, 0.0, count, samples, draw)
    return common[:, None] + own, f"paired over {count} seeds"


def _seeds(panel: Panel, metric: str) -> list[float]:
    ended = panel.runs[panel.runs[metric].notna()]
    return sorted(ended["seed"].unique())


def _near(panel: Panel, metric: str, near: float) -> np.ndarray:
    """Return the runs of the cells within ``near`` of the best that have all seeds."""
    table = seed_table(panel, metric)
    whole = table[~np.isnan(table).any(1)]
    mean = whole.mean(1) if len(whole) else whole
    return whole[mean <= mean.min() + near] if len(whole) else whole


def _effects(table: np.ndarray) -> tuple[np.ndarray, float]:
    """Return what each seed adds, and the variance that the cells' noise gives it."""
    cells, count = table.shape
    common, left = seed_effects(table)
    if cells < 2 or count < 2:
        return np.zeros(count), 0.0
    return common, float(np.nansum(left**2) / ((cells - 1) * (count - 1)) / cells)


def _drawn(
    effects: np.ndarray, noise: float, count: int, samples: int, draw: np.random.Generator
) -> np.ndarray:
    if count < 2:
        return np.zeros(samples)
    excess = max(float((effects**2).sum() / (count - 1)) - noise, 0.0)
    return np.asarray(draw.standard_t(count - 1, samples) * np.sqrt(excess / count))
