"""Rows of a probe's table made from shares and roots that the test chooses."""

import numpy as np

from experiments.probe.table import COLUMNS, of_quantiles

Q = (0.05, 0.25, 0.5, 0.75, 0.95)


def row(r, root_v=None, **values):
    """A row as probe.jsonl holds it, of a layer whose weights have these r and root v."""
    r = np.asarray(r, float)
    made = dict.fromkeys(COLUMNS) | {
        "id": "a", "step": 10, "layer": "up.weight", "size": len(r), "eta": 1.0, "nominal": 0.1,
        "shrink": 0.1, "weight_norm": 1.0, "gradient_norm": 1.0, "update_norm": 0.1,
        "rotation": 0.2, "rotation_predicted": 0.1, "logs": 0, "sample_r": "", "sample_root_v": "",
    }  # fmt: skip
    made |= zip(of_quantiles("r"), np.quantile(r, Q).tolist(), strict=True)
    if root_v is not None:
        root_v = np.asarray(root_v, float)
        made |= zip(of_quantiles("root_v"), np.quantile(root_v, Q).tolist(), strict=True)
        x, y = np.log10(root_v[r > 0]), np.log10(r[r > 0])
        cov = np.cov(x, y, bias=True)
        moments = (len(x), x.mean(), y.mean(), cov[0, 0], cov[1, 1], cov[0, 1])
        names = ("logs", "mean_log_v", "mean_log_r", "var_log_v", "var_log_r", "cov_logs")
        made |= zip(names, map(float, moments), strict=True)
        made["sample_r"] = " ".join(f"{value:.5g}" for value in r[::10])
        made["sample_root_v"] = " ".join(f"{value:.5g}" for value in root_v[::10])
    return made | values


def run_of(optim, rate, seed, task="modular", steps=(100, 200, 300)):
    """The rows of a run that does as the usual explanation has it, and the run's own columns.

    r is 1e-3 rate / root v under adam, 1e-3 under adamw and 1e-3 rate under all others; under adam,
    root v halves from look to look.
    """
    name = f"{task}-{optim}-{rate}-{seed}"
    generator = np.random.default_rng(seed)
    rows = []
    for k, step in enumerate(steps):
        for layer, scale in (("up.weight", 1.0), ("norm.weight", 0.1)):
            root = scale * 0.5**k * 10 ** generator.normal(0, 0.5, 200)
            eta = 1 - k / 10
            r = eta * {"adam": 1e-3 * rate / root, "adamw": np.full(200, 1e-3)}.get(
                optim, np.full(200, 1e-3 * rate)
            )
            has_v = None if optim.startswith("sgd") else root
            share = {"v_from_l2": 0.25} if optim == "adam" else {}
            norms = {"weight_norm": 2.0 * (1 + k), "rotation": 0.1 * (1 + (optim == "adam"))}
            rows.append(row(r, has_v, id=name, step=step, layer=layer, eta=eta, **share, **norms))
    own = {"id": name, "task": task, "optim": optim, "lr": rate, "wd": 0.1, "seed": seed}
    return rows, own
