"""The paper's claims, and where in the committed tables their numbers are, the paper's and ours."""

from pathlib import Path

from experiments.report.data import names
from experiments.report.data.text import read_csv
from experiments.report.statistics.estimate import Estimate, from_row, unidentified
from experiments.report.statistics.judge import INF, Claim, Ruling

ADAMS = "Adam + L2, AdamW"
#: Slopes and exponents below this say "does not move": over four doublings, one step of a grid
#: with a factor of two. The paper's coupled slopes are -0.79 and -1.27, its decoupled ones -0.02.
STILL = 0.25
#: Percent. Less than a quarter of what AdamW saves under a cosine in the paper counts as no gain.
NO_GAIN = 5.0
#: The paper's number with its source, where its cells do not give it.
PRINTED = {
    "equal_loss": "lower (Figure 3, bottom right; no number)",
    "restarts": "0.39 (Figure S5 by eye: 3.10 % at epoch 700, 3.12 % at 1,800)",
}
#: Which of our experiments a figure's claims are judged by, where it is not named after the figure.
OURS = {"figure2": "figure2_cpu_2000"}
COUPLED, DECOUPLED = (-INF, -STILL), (-STILL, STILL)
P, SLOPE = "p of wd* ~ steps^-p", "ridge slope"
#: Of each: the text, the number, of whom, the statistic, the range, the figure, the protocol.
# fmt: off
CLAIMS = (
    Claim("under SGD + L2 the best wd falls as lr grows", SLOPE,
          "sgd", "ridge_slope", *COUPLED, "figure2"),
    Claim("under SGDW the best wd stays as lr grows", SLOPE,
          "sgdw", "ridge_slope", *DECOUPLED, "figure2"),
    Claim("under Adam + L2 the best wd falls as lr grows", SLOPE,
          "adam", "ridge_slope", *COUPLED, "figure2"),
    Claim("under AdamW the best wd stays as lr grows", SLOPE,
          "adamw", "ridge_slope", *DECOUPLED, "figure2"),
    Claim("AdamW's best is better than Adam's", "AdamW minus Adam + L2, best error, points",
          ADAMS, "best_difference", high=0, figure="figure2"),
    Claim("a cosine helps AdamW more than Adam", "how much more it lowers the best error, points",
          ADAMS, "schedule_helps", low=0, figure="figure1"),
    Claim("with a fixed rate AdamW gains nothing (so the cells; the text says it wins)",
          "gain in best error, %",
          ADAMS, "gain", -NO_GAIN, NO_GAIN, "figure1", "constant"),
    Claim("at equal training loss AdamW tests better", "AdamW minus Adam + L2, test error, points",
          ADAMS, "equal_loss", high=0, figure="figure3"),
    Claim("restarts reach a given error sooner", "epochs of AdamWR over epochs of AdamW",
          "AdamW", "restarts", high=1, figure="figure4"),
    Claim("raw wd* falls as the root of the steps", P,
          "AdamW", "exponent", 0.5 - STILL, 0.5 + STILL, "figureS3", "raw wd"),
    Claim("normalized wd* stays as the budget grows", P,
          "AdamW", "exponent", -STILL, STILL, "figureS3", "normalized wd"),
    Claim("normalized wd* moves less than raw wd*", "size of p, raw wd minus normalized wd",
          "AdamW", "exponent_drop", low=0, figure="figureS3"),
)
# fmt: on


def rulings(results_dir: Path) -> list[Ruling]:
    """Judge every claim by the tables of ``results_dir``, those of ours and the paper's."""
    return [
        Ruling(
            claim,
            look_up(results_dir / OURS.get(claim.figure, f"{claim.figure}_cpu"), claim),
            theirs=None
            if claim.statistic in PRINTED
            else look_up(results_dir / "paper", claim, claim.figure),
        )
        for claim in CLAIMS
    ]


def look_up(folder: Path, claim: Claim, figure: str = "") -> Estimate | None:
    """Find the number of a claim in the committed tables of an experiment.

    Args:
        folder: Such as results/figure1_cpu.
        claim: What is claimed.
        figure: The figure among several in the tables, as the paper's have them; not ImageNet32.

    Returns:
        None when the experiment has no such table.
    """
    slope = claim.statistic.endswith("_slope")
    file = folder / ("decoupling.csv" if slope else "findings.csv")
    if not file.exists():
        return None
    rows = read_csv(file)
    name, who = ("statistic", "optim") if slope else ("kind", "of")
    rows = rows[(rows[name] == claim.statistic) & (rows[who] == claim.of)]
    if "figure" in rows and figure:
        rows = rows[rows["figure"] == figure]
    if not slope:
        protocols = [
            set(where.split(", ")) - {names.task("cifar10"), ""} for where in rows["where"]
        ]
        rows = rows[[protocol == {claim.where} - {""} for protocol in protocols]]
    if len(rows) != 1:
        return unidentified(f"{len(rows)} rows of {file.name} are about it")
    return from_row(rows.to_dict("records")[0])
