"""The paper's claims, and where in the committed tables their numbers are, the paper's and ours."""

from pathlib import Path

from experiments.report.data import names
from experiments.report.data.text import read_csv
from experiments.report.statistics.estimate import Estimate, from_row, unidentified
from experiments.report.statistics.judge import Claim, Ruling, ruled

ADAMS = "Adam + L2, AdamW"
#: Slopes and exponents below this say "does not move": over four doublings, one step of a grid
#: with a factor of two. The paper's coupled slopes are -0.83 and -1.4, its decoupled ones 0.05.
STILL = 0.25
#: Percent. Less than a quarter of what AdamW saves under a cosine in the paper counts as no gain.
NO_GAIN = 5.0


def _falls(name: str, of: str) -> Claim:
    return Claim(f"under {name} the best wd falls as lr grows", "ridge slope", of, "ridge_slope",
                 high=-STILL, figure="figure2", exact=-1.0, opposite=0.0)  # fmt: skip


def _stays(name: str, of: str) -> Claim:
    return Claim(f"under {name} the best wd stays as lr grows", "ridge slope", of, "ridge_slope",
                 -STILL, STILL, "figure2", exact=0.0, opposite=-1.0)  # fmt: skip


CLAIMS = (
    _falls("SGD + L2", "sgd"),
    _stays("SGDW", "sgdw"),
    _falls("Adam + L2", "adam"),
    _stays("AdamW", "adamw"),
    Claim("AdamW's best is better than Adam's", "AdamW minus Adam + L2, best error, points",
          ADAMS, "best_difference", high=0, figure="figure2"),
    Claim("a cosine helps AdamW more than Adam", "how much more it lowers the best error, points",
          ADAMS, "schedule_helps", low=0, figure="figure1"),
    Claim("with a fixed rate AdamW gains nothing (so its cells show; its text says that it wins)",
          "gain in best error with decay, %",
          ADAMS, "gain", -NO_GAIN, NO_GAIN, "figure1", "constant", exact=0.0, opposite=20.0),
    Claim("in long runs AdamW's best is better than Adam's",
          "AdamW minus Adam + L2, best error, points", ADAMS, "best_difference", high=0,
          figure="figure3", printed="-0.43 (Figure 3 by eye: 3.12 % and 3.55 %)", read=-0.43),
    Claim("at equal training loss AdamW tests better", "AdamW minus Adam + L2, test error, points",
          ADAMS, "equal_loss", high=0, figure="figure3",
          printed="lower (Figure 3, bottom right; no number)"),
    Claim("restarts reach a given error sooner", "epochs of AdamWR over epochs of AdamW",
          "AdamW", "restarts", high=1, figure="figure4",
          printed="0.39 (Figure S5 by eye: 3.10 % at epoch 700, 3.12 % at 1,800)", read=0.39),
    Claim("the best wd falls as the root of the steps", "p of wd* ~ steps^-p",
          "AdamW", "exponent", 0.5 - STILL, 0.5 + STILL, "figureS3", "raw wd", exact=0.5,
          opposite=0.0),
)  # fmt: skip


def rulings(results_dir: Path) -> list[Ruling]:
    """Judge every claim by the tables of ``results_dir``, those of ours and the paper's."""
    return [_ruling(results_dir, claim) for claim in CLAIMS]


def sweep(figure: str) -> str:
    """Return the name of our experiment that a figure's claims are judged by."""
    return f"{figure}_cpu"


def _ruling(results_dir: Path, claim: Claim) -> Ruling:
    """Judge a claim by our number and by the paper's own."""
    found = look_up(results_dir / sweep(claim.figure), claim)
    theirs = None
    if not claim.printed:
        theirs = look_up(results_dir / "paper", claim, claim.figure)
    if found is None:
        return Ruling(claim, None, theirs=theirs)
    return ruled(claim, found, theirs=theirs)


def look_up(folder: Path, claim: Claim, figure: str = "") -> Estimate | None:
    """Find the number of a claim in the committed tables of an experiment.

    Args:
        folder: Such as results/figure2_cpu.
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
