"""The table of a decay probe: one row a layer and a look; it joins runs.csv by ``id``."""

from collections.abc import Iterable, Mapping
from typing import Any

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def of_quantiles(name: str) -> tuple[str, ...]:
    """Return the columns that hold the quantiles of ``name``: ``name_05`` to ``name_95``."""
    return tuple(f"{name}_{round(100 * q):02d}" for q in QUANTILES)


#: Column -> meaning. A weight's r is the share of it that decay took in this step: minus the part
#: of its update that is decay, over the weight. Their order is the order in probe.csv.
COLUMNS: dict[str, str] = {
    "id": "the run, as runs.csv names it",
    "step": "optimizer steps done, this one included",
    "layer": "name of the parameter tensor",
    "size": "its weights",
    "eta": "eta_t of this step",
    "nominal": "r by the formula: eta_t^p lambda (decoupled; p = 1 but for decay_power); lr_t wd "
    "(torch_adamw, and Adam + L2 where root v is 1); lr_t wd / (1 - beta1) (SGD + L2 in the "
    "long run)",
    "shrink": "r of the whole layer: that of its weights, averaged by their squares",
    "weight_norm": "Euclidean norm before the step",
    "gradient_norm": "of the gradient of the (scaled) loss, without the L2 term",
    "update_norm": "of the whole update",
    "rotation": "angle between the layer before and after the step, radians",
    "rotation_predicted": "at equilibrium: sqrt(2 shrink (1 - beta1) / (1 + beta1)), radians",
    **{name: "quantile of r over the layer's weights" for name in of_quantiles("r")},
    **{name: "quantile of sqrt(vhat_t); empty without v" for name in of_quantiles("root_v")},
    "v_from_l2": "median share of v that is there because of the L2 term; empty where none enters",
    "logs": "weights with r > 0 and v > 0, to which the next five belong",
    "mean_log_v": "mean of x = log10 sqrt(vhat_t)",
    "mean_log_r": "mean of y = log10 r",
    "var_log_v": "variance of x (divided by their number)",
    "var_log_r": "variance of y",
    "cov_logs": "covariance of x and y",
    "sample_r": "r of weights drawn once by the seed, separated by blanks; at some looks only",
    "sample_root_v": "sqrt(vhat_t) of the same weights",
}
DIGITS = 5


def compact(row: Mapping[str, Any]) -> dict[str, Any]:
    """Round a row's numbers to :data:`DIGITS` significant digits; what is not finite becomes None.

    Raises:
        ValueError: It has other columns than the table, ``id`` left aside.
    """
    if set(row) | {"id"} != set(COLUMNS):
        raise ValueError(f"row has columns {sorted(set(row) ^ set(COLUMNS))} too many or too few")
    return {name: _rounded(row[name]) for name in COLUMNS if name in row}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        short = f"{value:.{DIGITS}g}"
        return float(short) if short not in ("nan", "inf", "-inf") else None
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " ".join(f"{float(number):.{DIGITS}g}" for number in value)
    return value
