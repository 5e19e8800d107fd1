"""Units of the metrics, and how many decimals a report gives them."""

import math

#: A bit in nats. For a text, whose predictions are characters, bits are bits a character.
BIT = math.log(2)


def is_loss(metric: str) -> bool:
    """Whether a metric is a loss, in nats, and no error, in percent."""
    return metric.endswith("_loss")


def unit(metric: str) -> str:
    """Return a metric with its unit: ``test error (%)``."""
    return f"{metric.replace('_', ' ')} ({'nats' if is_loss(metric) else '%'})"


def difference(metric: str) -> str:
    """Return the unit of a difference of two values: points of a percentage, or nats."""
    return "nats" if is_loss(metric) else "points"


def form(metric: str) -> str:
    """Return the format of its values: a loss in nats varies less than an error in percent."""
    return ".3f" if is_loss(metric) else ".2f"
