"""Laws of weight decay that are quoted beyond the paper, and what committed rows say of them.

All are in the paper's units: lambda is the share of a weight that a step at eta = 1 removes. A law
has a preset of its own. Rows of other experiments that bear on it are judged besides, by name.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.record import tables
from experiments.report.data import names, probes
from experiments.report.data.frames import frame
from experiments.report.data.panels import Panel, best_cell, grouped, panels
from experiments.report.data.text import read_csv
from experiments.report.statistics import delay
from experiments.report.statistics.budget import best_decay, best_rate, exponent, vertex
from experiments.report.statistics.compare import best_error
from experiments.report.statistics.estimate import (
    Estimate,
    from_row,
    over_seeds,
    unidentified,
)
from experiments.report.statistics.judge import Claim, Ruling, power, ruled
from experiments.report.statistics.measure import Measured, contrast, measure_one
from experiments.report.statistics.noise import seed_noise
from experiments.report.statistics.paper_claims import STILL
from experiments.report.statistics.settings import Settings

#: Column of the runs table -> what a reader calls it, and its name in a formula.
QUANTITIES = {
    "train_size": ("number of training examples", "data"),
    "epochs": ("passes over the data", "epochs"),
    "batch_size": ("batch size", "batch"),
    "model.width": ("width", "width"),
}
EXPONENT, ANGLE = "exponent q of λ* ~ quantity^q", "angle, measured over predicted"
NORM = "log2 of the weights' norm, at the end over the middle of the run"
LOSS = "test loss, minus AdamW's, nats"
RATE_EXPONENT = "exponent q of lr* ~ width^q"
#: Of a look at the last tenth of a cosine over one just after its middle.
GROWTH = "log2 of the gradient's growth from middle to end, minus that of decay ~ η"
#: Doublings of a norm within which it counts as steady: 7 %.
STEADY = 0.1
#: Layers of the networks here that have a norm behind them: its output ignores their length.
NORMED = "conv|stem"
ODDS = ("power", "against")
#: Text is measured by its loss, in nats, as ``lm`` does; rows within 0.1 nats of the best count.
TEXT = {"metric": "test_loss", "tolerance": 0.1, "near": 0.02}


@dataclass(frozen=True, eq=False)
class Rule:
    """How somebody says that lambda is to be carried over: lambda ~ quantity^q.

    Attributes:
        name: Of the rule.
        source: Who says it.
        exponents: q by quantity, of those that it speaks of.
        also: Who says it besides, by quantity.
    """

    name: str
    source: str
    exponents: Mapping[str, float]
    also: Mapping[str, str] = field(default_factory=dict)

    def across(self, family: "Family") -> float:
        """Return the exponent that panels show if it holds: others than one may move with it."""
        log_decay = np.zeros(len(family.panels))
        for name, q in self.exponents.items():
            values = np.array([float(one.panel.setting(name)) for one in family.panels])
            if np.isfinite(values).all():
                log_decay += q * np.log2(values)
        return round(float(np.polyfit(np.log2(family.at), log_decay, 1)[0]), 2) + 0.0


AVERAGING = Rule(
    "averaging time in epochs stays",
    "Wang & Aitchison, arXiv 2405.13698",
    {"train_size": -1.0, "epochs": 0.0, "batch_size": 1.0},
    {"batch_size": "Bergsma et al., 2505.13738"},
)
NORMALIZED = Rule(
    "normalized decay stays",
    "the paper, Appendix B.1",
    {"train_size": -0.5, "epochs": -0.5, "batch_size": 0.5},
)
#: Of the width, under learning rates in proportion to 1 / width.
INDEPENDENT = Rule("λ stays", "Kosson et al., arXiv 2510.19093", {"model.width": 0.0})
ROOT = Rule("torch's w ~ √width", "Fan et al., arXiv 2510.15262", {"model.width": -0.5})
TORCH = Rule("torch's w stays", "usual practice", {"model.width": -1.0})
RULES = (AVERAGING, NORMALIZED, INDEPENDENT, ROOT, TORCH)


@dataclass(frozen=True)
class Rows:
    """Committed rows of AdamW.

    Attributes:
        experiment: Whose table they are in.
        where: Values that they have, by column; of several, any.
    """

    experiment: str
    where: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """Panels that differ in one quantity.

    Attributes:
        label: What they are, for a reader.
        quantity: The column in which they differ.
        panels: In the order of the quantity; their decay is lambda.
    """

    label: str
    quantity: str
    panels: Sequence[Measured]

    @cached_property
    def exponent(self) -> Estimate:
        """The exponent q of lambda* ~ quantity^q."""
        ends = (f"{at:,.10g}" for at in (self.at[0], self.at[-1]))
        found = exponent(self.panels, self.quantity, 1.0)
        return found.noted("measured from " + " to ".join(ends))

    @property
    def at(self) -> list[float]:
        """The quantity in each panel."""
        return [float(one.panel.setting(self.quantity)) for one in self.panels]

    @cached_property
    def best(self) -> list[Estimate]:
        """The best lambda of each panel, the mean over the learning rates near the best."""
        found = [
            contrast([one], partial(best_decay, tolerance=one.settings.tolerance))
            for one in self.panels
        ]
        return [one.mapped(np.exp2) for one in found]


@dataclass(frozen=True)
class Law:
    """A relation that people quote about weight decay.

    Attributes:
        name: Of the law.
        preset: The experiment that is made for it.
        question: What is asked.
        claims: What is predicted.
        judge: Judges the claims by the tables below a folder and the families that a law on a
            quantity has there; without rows, none.
        quantity: Of a law on how lambda* moves with it: its column.
        use: What a person can do with it; of a law on a quantity, what happens when that doubles.
        others: Rows of other experiments, by what they are.
        caveat: What must be known of these.
    """

    name: str
    preset: str
    question: str
    claims: Sequence[Claim]
    judge: Callable[[Path, "Law", Sequence[Family]], list[Ruling]]
    quantity: str = ""
    use: str = ""
    others: Mapping[str, Sequence[Rows]] = field(default_factory=dict)
    caveat: str = ""


def settings_of(task: str) -> Settings:
    """Return how panels of a task are measured: decay is lambda."""
    chosen: dict[str, Any] = TEXT if names.is_text(task) else {}
    return Settings(axis="lambda", **chosen)


def families(results_dir: Path, law: Law) -> list[Family]:
    """Return the panels that a law on a quantity is judged by: its own, and those of others.

    Own ones that differ in more than the quantity are several families.
    """
    if not law.quantity:
        return []
    own = [_measured(one) for one in _panels(results_dir, Rows(law.preset))]
    found = split(own, law)
    for label, rows in law.others.items():
        some = [one for part in rows for one in _panels(results_dir, part)]
        found += _family(label, [_measured(one) for one in some], law)
    return found


def split(found: Sequence[Measured], law: Law) -> list[Family]:
    """Return the families among the panels of a law's own preset."""
    several = len({one.panel.setting("task") for one in found}) > 1
    groups = grouped(found, lambda one: _fixed(one.panel, law.quantity, several=several))
    return [
        family
        for words, own in groups.items()
        for family in _family(", ".join([law.preset, *words]), own, law)
    ]


def _family(label: str, found: Sequence[Measured], law: Law) -> list[Family]:
    ordered = sorted(found, key=lambda one: float(one.panel.setting(law.quantity)))
    family = Family(label, law.quantity, ordered)
    return [family] if len(set(family.at)) > 1 else []


def _fixed(panel: Panel, quantity: str, *, several: bool) -> tuple[str, ...]:
    """Name what panels of a family share: of several tasks the task, which decides all else."""
    if several:
        return (panel.named("task"),)
    skipped = {"optim", "model", quantity, f"task.{quantity}", *(f"task.{n}" for n in panel.key)}
    return tuple(panel.named(name) for name in panel.key if name not in skipped)


def _panels(results_dir: Path, rows: Rows, metric: str = "") -> list[Panel]:
    """Return the panels of AdamW under raw decay among committed rows, a task at a time.

    The metric is by default that by which the task is measured.
    """
    runs = frame(tables.read(tables.file(results_dir, rows.experiment)))
    if runs.empty:
        return []
    runs = runs[(runs["optim"] == "adamw") & (runs["decay"] == "raw")]
    for name, value in rows.where.items():
        runs = runs[runs[name].isin(value if isinstance(value, tuple) else (value,))]
    return [
        one
        for task, own in runs.groupby("task")
        for one in panels(own, metric or settings_of(str(task)).metric)
    ]


def _measured(panel: Panel) -> Measured:
    settings = settings_of(str(panel.setting("task")))
    noise = seed_noise(panel, settings.metric)
    return measure_one(panel, noise, settings, only=["ridge_slope"])


def by_exponent(results_dir: Path, law: Law, found: Sequence[Family]) -> list[Ruling]:
    """Judge what a law says of the exponent of lambda*, a ruling a family and claim."""
    return [
        ruled(claim, family.exponent, family.label)
        for family in found
        for claim in predicted(law, family)
    ]


def predicted(law: Law, family: Family) -> list[Claim]:
    """Return a law's claims on the exponent of lambda*, with what they come to for these panels."""
    rules = {_claim_of(rule, law.quantity): rule for rule in RULES}
    own = [claim for claim in law.claims if claim.statistic == "exponent"]
    said = {text: rules[text].across(family) for text in (c.text for c in own) if text in rules}
    return [
        replace(claim, **_about(said[claim.text], said.values())) if claim.text in said else claim
        for claim in own
    ]


def _paired(claim: Claim, values: Sequence[float], label: str) -> Ruling:
    """Judge a claim by one number a seed."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    chance = partial(power, sd, len(values), claim.low, claim.high)
    return ruled(claim, over_seeds(values), label, chance=chance)


def by_width(results_dir: Path, law: Law, found: Sequence[Family]) -> list[Ruling]:
    """Judge the exponents of lambda* and of the best learning rate, a ruling a family and claim."""
    of_rate = [claim for claim in law.claims if claim.statistic == "rate_exponent"]
    judged = by_exponent(results_dir, law, found)
    for family in found:
        number = exponent(family.panels, law.quantity, 1.0, best_rate, "lr")
        judged += [ruled(claim, number, family.label) for claim in of_rate]
    return judged


def by_schedule(results_dir: Path, law: Law, _: Sequence[Family]) -> list[Ruling]:
    """Judge what another power of eta does to the best error, to norms, and to late gradients."""
    own = _panels(results_dir, Rows(law.preset, {"schedule": "cosine"}))
    known = {float(one.setting("optim.decay_power")): _measured(one) for one in own}
    of_errors = [claim for claim in law.claims if claim.statistic == "best_difference"]
    found = []
    for claim, power_ in zip(of_errors, (2.0, 0.0), strict=True):
        if {1.0, power_} <= set(known):
            pair = [known[1.0], known[power_]]
            apart = contrast(pair, best_error, lambda a, b: b - a, is_error=True)
            found.append(ruled(claim, apart, law.preset))
    late = _late(_seen(results_dir, law.preset), known)
    changes = {"norm_1": late.get(("weight_norm", 1.0)), "norm_2": late.get(("weight_norm", 2.0))}
    squared, plain = late.get(("gradient_norm", 2.0)), late.get(("gradient_norm", 1.0))
    if squared is not None and plain is not None:
        changes["gradients"] = squared - plain
    for claim in law.claims:
        change = changes.get(claim.statistic)
        if change is not None:
            per_seed = change.groupby("seed").median().dropna()
            found.append(_paired(claim, list(per_seed), law.preset))
    return found


def _late(seen: pd.DataFrame, known: Mapping[float, Measured]) -> dict[tuple[str, float], Any]:
    """Return how norms grow from a run's middle to its end under each power of eta.

    Returns:
        By column and power, log2 of the last look over the first of the second half, the median
        over layers with a norm behind them, indexed by learning rate, total shrink and seed. Only
        cells are there that the powers 1 and 2 have in common, so that they can be paired.
    """
    if seen.empty or not {1.0, 2.0} <= set(known):
        return {}
    runs = pd.concat([one.panel.runs.assign(power=power_) for power_, one in known.items()])
    runs = runs.assign(total=np.log2(runs["wd"] * runs["eta_sum"]).round(1))
    some = seen[seen["layer"].str.contains(NORMED) & (seen["step"] > seen["steps"] / 2)]
    some = some.merge(runs[["id", "power", "total"]], on="id").sort_values("step")
    cell = ["power", "lr", "total", "seed"]
    found: dict[tuple[str, float], Any] = {}
    for column in ("weight_norm", "gradient_norm"):
        ends = np.log2(some.set_index([*cell, "layer"])[column]).groupby([*cell, "layer"])
        grown = (ends.last() - ends.first()).groupby(cell).median().unstack("power")
        both = grown[[1.0, 2.0]].dropna()
        found |= {(column, power_): both[power_] for power_ in (1.0, 2.0)}
    return found


def by_pairs(results_dir: Path, law: Law, _: Sequence[Family]) -> list[Ruling]:
    """Judge cautious decay on each task, by runs that differ in nothing else, a number a seed."""
    at_plain, at_own, stays = law.claims
    found = []
    settings = settings_of("shakespeare")  # losses, of images and sums too
    known = _panels(results_dir, Rows(law.preset), settings.metric)
    for task, own in grouped(known, _task).items():
        both = {str(one.setting("optim.cautious")): one for one in own}
        if set(both) != {"False", "True"}:
            continue
        plain, cautious = both["False"], both["True"]
        label = f"{task}, {law.preset}"
        best = [best_cell(one.cells, settings.metric) for one in (plain, cautious)]
        if any(one is None for one in best):
            continue
        usual, other = (one["wd"] for one in best if one is not None)
        losses = [one.runs.set_index(["wd", "seed"])[settings.metric] for one in (plain, cautious)]
        for claim, wd in ((at_plain, usual), (at_own, other)):
            apart = (losses[1][wd] - losses[0][usual]).dropna()
            found.append(_paired(claim, list(apart), label))
        by_decay = [one.unstack("wd") for one in losses]
        seeds = by_decay[0].index.intersection(by_decay[1].index)
        best_at = [
            np.array([vertex(np.log2(one.columns.to_numpy(float)), row) for row in rows])
            for one in by_decay
            for rows in [np.log(one.loc[seeds].to_numpy())]
        ]
        shift = best_at[1] - best_at[0]
        edge = unidentified("at some seed the best λ is at the edge of the grid")
        found.append(
            _paired(stays, list(shift), label)
            if np.isfinite(shift).all()
            else ruled(stays, edge, label)
        )
    return found


def _task(panel: Panel) -> str:
    return panel.named("task")


def _seen(results_dir: Path, experiment: str) -> pd.DataFrame:
    """Return what the probe saw of AdamW's runs of an experiment, with what each run is."""
    rows = tables.read(results_dir / experiment / probes.FILE, probes.KIND)
    runs = frame(tables.read(tables.file(results_dir, experiment)))
    runs = runs[runs["optim"] == "adamw"]
    return probes.joined(probes.frame(rows), runs, "schedule", "steps")


def by_rotation(results_dir: Path, law: Law, _: Sequence[Family]) -> list[Ruling]:
    """Judge how far matrices turn: in a run's second half; where it should settle, also early."""
    settled, elsewhere = law.claims
    found = []
    for experiment, start, end in ((law.preset, 0.5, 1.0), (law.preset, 0.0, 0.2), ("why", 0.5, 1)):
        seen = _seen(results_dir, experiment)
        share = seen["step"] / seen["steps"]
        seen = seen[(share > start) & (share <= end) & (seen["rotation_predicted"] > 0)]
        seen = seen.assign(ratio=seen["rotation"] / seen["rotation_predicted"])
        normed = seen["layer"].str.contains(NORMED)
        bare = ~normed & ~seen["layer"].str.contains("norm|bias")
        early = end < 1
        part = f"{experiment}, first fifth" if early else experiment
        for kind, there in (("norm behind", normed), ("no norm behind", bare & (not early))):
            groups = ["schedule", "lr", *(["wd"] if experiment == law.preset else [])]
            for (_task, schedule, *rates), own in seen[there].groupby(["task", *groups]):
                if own["layer"].nunique() > 1:  # a head alone says little
                    per_seed = own.groupby("seed")["ratio"].median()
                    told = [
                        f"{name} {rate:g}" for name, rate in zip(("lr", "λ"), rates, strict=False)
                    ]
                    as_said = kind == "norm behind" and schedule == "constant" and not early
                    label = ", ".join([kind, str(schedule), *told, part])
                    claim = settled if as_said else elsewhere
                    found.append(_paired(claim, list(per_seed), label))
    return found


def by_delay(results_dir: Path, law: Law, _: Sequence[Family]) -> list[Ruling]:
    """Judge the delay law by the committed table of ``grokking``."""
    file = results_dir / law.preset / "delay.csv"
    if not file.exists():
        return []
    table = read_csv(file)
    own = table[table["panel"].str.startswith("AdamW,") & (table["choice"] == "the law")]
    odds = [name for name in map(str, own) if name.startswith("power_")]
    found = []
    for row in own.to_dict("records"):
        claim = next(one for one in law.claims if one.statistic == row["statistic"])
        known = [float(row[name]) for name in odds if row[name] != ""]
        task = str(row["panel"]).partition(", ")[2]
        found.append(
            Ruling(claim, from_row(row), f"{task}, {law.preset}", power=next(iter(known), math.nan))
        )
    return found


def _listed(numbers: Iterable[float]) -> str:
    *first, last = (f"{number:,}" for number in numbers)
    return f"{', '.join(first)} and {last}"


def _claim_of(rule: Rule, quantity: str) -> str:
    return f"{QUANTITIES[quantity][1]}: {rule.name}"


def rule_of(claim: Claim) -> str:
    """Return what a claim says of a quantity, without naming the quantity."""
    return claim.text.partition(": ")[2] or claim.text


def _exponents(quantity: str) -> list[Claim]:
    """Return what the rules say of a quantity if nothing else changes."""
    said = {rule: rule.exponents[quantity] for rule in RULES if quantity in rule.exponents}
    return [
        Claim(_claim_of(rule, quantity), EXPONENT, "adamw", "exponent",
              source="; ".join(filter(None, [rule.source, rule.also.get(quantity)])),
              **_about(q, said.values()))
        for rule, q in said.items()
    ]  # fmt: skip


def _about(q: float, said: Iterable[float]) -> dict[str, Any]:
    """Return the range of a claim on an exponent, opposed by the nearest that is said besides."""
    others = [x for x in said if abs(x - q) > STILL]
    opposite = min(others, key=lambda x: abs(x - q)) if others else q + 4 * STILL
    return {"low": q - STILL, "high": q + STILL, "exact": q, "opposite": opposite}


#: Kim et al. find the best decay 30 times the usual one, of 16 passes over the data.
KIM = round(math.log(30) / math.log(16), 2)
#: Images and epochs of the sweeps of CIFAR-10 at 16x16.
IMAGES = {2000: 30, 5000: 25, 12000: 17}
LAWS = (
    Law(
        "data", "law_data",
        "How does the best λ move with the number of training examples, epochs held fixed?",
        _exponents("train_size"), by_exponent, "train_size",
        "If you double the data at the same number of epochs",
        {
            f"images: {_listed(IMAGES)} in {_listed(IMAGES.values())} epochs": (
                Rows("figure2_cpu_2000"),
                Rows("factorial_cifar"),
                Rows("figure2_cpu"),
            )
        },
        "Of 2,000 to 12,000 images larger sets were read in fewer epochs, so that the normalized "
        "decay predicts another exponent there. Only law_data holds the epochs fixed.",
    ),
    Law(
        "epochs", "law_epochs",
        "How does the best λ move with the number of epochs, data held fixed?",
        _exponents("epochs"), by_exponent, "epochs",
        "If you train twice as many epochs on the same data",
        {
            "the paper's cells: 25, 100 and 400 epochs": (
                Rows("paper", {"figure": "figureS3", "task": "cifar10"}),
            ),
        },
    ),
    Law(
        "batch", "law_batch",
        "How does the best λ move with the batch size, epochs held fixed and lr tuned anew?",
        _exponents("batch_size"), by_exponent, "batch_size",
        "If you double the batch at the same number of epochs and tune lr anew",
    ),
    Law(
        "width", "law_width",
        "How do the best λ and the best learning rate move with the width of a transformer?",
        [
            *_exponents("model.width"),
            Claim("lr* ~ width^0: the best learning rate stays", RATE_EXPONENT, "adamw",
                  "rate_exponent", -STILL, STILL, exact=0.0, opposite=-1.0,
                  source="Wortsman et al., arXiv 2309.14322, of decay in the paper's units"),
            Claim("lr* ~ width^-1", RATE_EXPONENT, "adamw", "rate_exponent", -1 - STILL, STILL - 1,
                  exact=-1.0, opposite=0.0, source="Yang et al., arXiv 2203.03466"),
        ],
        by_width, "model.width",
        "If you double the width and halve the learning rate",
    ),
    Law(
        "schedule", "law_schedule",
        "Should decay follow the schedule η, its square, or nothing, at equal total shrink?",
        [
            Claim("decay ~ η² is better than ~ η", "best error, minus that of decay ~ η, points",
                  "adamw", "best_difference", high=0.0,
                  source="Defazio, arXiv 2506.02285; Chou, 2512.08217"),
            Claim("decay without a schedule is worse than ~ η",
                  "best error, minus that of decay ~ η, points", "adamw", "best_difference",
                  low=0.0, source="the paper, Algorithm 2"),
            Claim("decay ~ η² keeps norms steady", NORM, "adamw", "norm_2", -STEADY, STEADY,
                  exact=0.0, source="Defazio, arXiv 2506.02285"),
            Claim("decay ~ η does not: norms fall", NORM, "adamw", "norm_1", high=-STEADY,
                  opposite=0.0, source="Defazio, arXiv 2506.02285"),
            Claim("decay ~ η² lets gradients grow less, late in a run", GROWTH, "adamw",
                  "gradients", high=0.0, source="Defazio, arXiv 2506.02285"),
        ],
        by_schedule,
        use="`optim.decay_power=2` squares η in the decay of every weight; AdamC does so in layers "
            "with a norm behind them only. Without a schedule: `optim.decay_power=0`.",
    ),
    Law(
        "cautious", "law_cautious",
        "Does it help to decay only the weights that the update does not lengthen?",
        [
            Claim("at AdamW's best λ cautious decay lowers the test loss", LOSS, "adamw",
                  "at_plain", high=0.0, source="Chen et al., arXiv 2510.12402", form=".3f"),
            Claim("at its own best λ it lowers the test loss", LOSS, "adamw", "at_own", high=0.0,
                  form=".3f"),
            Claim("AdamW's best λ stays the best", "doublings of the best λ", "adamw", "shift",
                  -0.5, 0.5, exact=0.0, opposite=1.0, source="Chen et al., arXiv 2510.12402"),
        ],
        by_pairs,
        use="A claim on the loss at AdamW's best λ is one on switching it on, with no new tuning.",
    ),
    Law(
        "repeat", "law_repeat",
        "How does the best λ move with passes over a text?",
        [
            *_exponents("epochs"),
            Claim("epochs: 30 times the λ in 16 passes", EXPONENT, "adamw", "exponent",
                  source="Kim et al., arXiv 2509.14786", **_about(KIM, [0.0])),
        ],
        by_exponent, "epochs",
        "If you read the same text twice as often",
        {"at equal steps, the fewer characters the more passes": (
            Rows("law_repeat", {"steps": 3840}),)},
        "At equal steps a rule's exponent is that of the passes together with that of the "
        "characters, which become fewer.",
    ),
    Law(
        "rotation", "law_rotation",
        "Does a step of AdamW turn weights by √(2λ(1-β₁)/(1+β₁)) once their norm has settled?",
        [
            Claim("weights turn at equilibrium's rate", ANGLE, "adamw", "rotation", 0.8, 1.2,
                  exact=1.0, opposite=0.5, source="Kosson et al., arXiv 2305.17212"),
            Claim("so they do in other conditions", ANGLE, "adamw", "rotation", 0.8, 1.2,
                  exact=1.0, opposite=0.5),
        ],
        by_rotation,
        use="Where it holds, λ alone sets how far a layer turns in a step, and the learning rate "
            "only how soon it does. Nobody claims it in other conditions: early in a run, under a "
            "schedule, of weights without a norm behind them. These rows say what it depends on.",
    ),
    Law(
        "delay", "grokking",
        "How long does a network that has fitted its training set take to generalize?",
        [replace(one, source="arXiv 2605.18845, up to constants 2603.13331")
         for one in delay.CLAIMS],
        by_delay,
        use="If both hold, twice the λ halves the wait, and at equal λ the learning rate does not "
            "matter.",
    ),
)  # fmt: skip


def table(found: Mapping[str, Sequence[Ruling]]) -> pd.DataFrame:
    """Return rulings by the name of their law as laws.csv has them."""
    return pd.DataFrame(
        {"law": name, "claim": one.claim.text, "source": one.claim.source, "rows": one.task}
        | {"number": one.claim.number, "claimed": one.claim.range, "exact": one.claim.exact}
        | {"opposite": one.claim.opposite}
        | {"verdict": one.verdict, "power": one.power, "against": one.against}
        | (one.found.row() if one.found else {})
        for name, own in found.items()
        for one in own
    )


def read(rows: pd.DataFrame) -> dict[str, list[Ruling]]:
    """Return the rulings that a table holds, by the name of their law; all laws are there."""
    found: dict[str, list[Ruling]] = {law.name: [] for law in LAWS}
    claims = {(law.name, claim.text): claim for law in LAWS for claim in law.claims}
    for row in rows.to_dict("records"):
        claim = claims.get((row["law"], row["claim"]))
        if claim is not None and claim.statistic == "exponent" and row["exact"] != "":
            claim = replace(claim, **_about(float(row["exact"]), [float(row["opposite"])]))
        if claim is not None:
            right, wrong = (math.nan if row[name] == "" else float(row[name]) for name in ODDS)
            ruling = Ruling(claim, from_row(row), str(row["rows"]), power=right, against=wrong)
            found[str(row["law"])].append(ruling)
    return found
