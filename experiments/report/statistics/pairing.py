"""Effects of a seed on whole panels; they mostly cancel between panels with the same seeds.

At one seed all optimizers start from the same weights and see the same batches.
"""

from collections.abc import Sequence

import numpy as np

from experiments.report.data.panels import Panel, grouped, seed_table
from experiments.report.statistics.noise import seed_effects
from experiments.report.statistics.resample import of_cells


def offsets(
    panels: Sequence[Panel], metric: str, near: float, samples: int
) -> tuple[np.ndarray, str]:
    r"""Draw how far the mean over seeds of each panel lies from that over all possible seeds.

    With :math:`c_{ps}` what seed s adds to panel p (the mean deviation over its cells within
    ``near`` of the best), panels that have the same seeds share :math:`\bar c_s`; what is left has
    a variance of its own, from which the share of the cells' noise is taken. Both are drawn from
    Student's t with (seeds - 1) and (panels - 1)(seeds - 1) degrees of freedom. Of panels that
    differ in their seeds those with the same ones share theirs.

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
    alike = grouped(range(len(panels)), lambda at: _seeds(panels[at], metric))
    offset = np.zeros((samples, len(panels)))
    paired = []
    for seeds, own in alike.items():
        if len(own) == 1 or len(seeds) < 2:
            for at in own:
                effects, noise = _effects(tables[at])
                offset[:, at] = _drawn(effects, noise, len(tables[at].T), samples, draw)
        else:
            offset[:, own] = _together([tables[at] for at in own], len(seeds), samples, draw)
            paired.append(f"{len(own)} panels over {len(seeds)} seeds")
    if len(alike) > 1:
        return offset, f"paired: {' and '.join(paired)}" if paired else "seeds not paired"
    return offset, f"paired over {len(seeds)} seeds" if paired else ""


def _together(
    tables: Sequence[np.ndarray], count: int, samples: int, draw: np.random.Generator
) -> np.ndarray:
    """Draw the offsets of panels that have the same seeds."""
    found = [_effects(table) for table in tables]
    effects = np.stack([own for own, _ in found])
    shared = effects.mean(0)
    left = effects - shared
    freedom = (len(tables) - 1) * (count - 1)
    excess = max((left**2).sum() / freedom - float(np.mean([noise for _, noise in found])), 0.0)
    own = draw.standard_t(freedom, (samples, len(tables))) * np.sqrt(excess / count)
    common = _drawn(shared, 0.0, count, samples, draw)
    return common[:, None] + own


def _seeds(panel: Panel, metric: str) -> tuple[float, ...]:
    ended = panel.runs[panel.runs[metric].notna()]
    return tuple(sorted(ended["seed"].unique()))


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
