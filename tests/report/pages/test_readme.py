"""A README's provenance tells machines apart."""

from experiments.report.pages.readme import provenance
from tests.report.report_data import frame, run

OLD, NEW = "AuthenticAMD family 23 model 49, AVX2", "AuthenticAMD family 25 model 1, AVX512"


def told(*rows):
    return str(provenance(frame(rows)))


def test_runs_are_counted_by_the_type_of_their_processor():
    rows = [run(seed=seed, device="AMD EPYC", processor=NEW if seed else OLD) for seed in range(3)]
    assert f"processor types: {OLD} (1 runs), {NEW} (2 runs)" in told(*rows)
    assert "hardware: AMD EPYC" in told(*rows)


def test_panels_that_mix_types_are_counted_and_named():
    rows = [run(optim=optim, seed=seed, processor=NEW if seed and optim == "adam" else OLD)
            for optim in ("adam", "adamw") for seed in (0, 1)]  # fmt: skip
    assert "mixed: 1 of 2 panels (adam) have runs of several devices or types" in told(*rows)
    rows = [run(optim=optim, processor=type_) for optim, type_ in (("adam", OLD), ("adamw", NEW))]
    assert "mixed" not in told(*rows)
    rows = [run(seed=seed, device=name) for seed, name in enumerate(("Intel Xeon", "AMD EPYC"))]
    assert "mixed: 1 of 1 panels" in told(*rows)


def test_of_runs_from_before_types_were_recorded_nothing_is_said():
    assert "processor" not in told(run(), run(seed=1)).replace("hardware: a processor", "")
