"""Steps that are recorded and replayed are those of a run that is not, to rounding."""

from dataclasses import replace

import pytest
import torch

from experiments.errors import UserError
from experiments.run import batches, capture
from experiments.run.capture import resolve_capture, side_by_side
from experiments.run.validate import validate
from optim import AdamW
from tests.recordings import Recorded, rates_stay_unread
from tests.tiny_runs import build_config, make_trainer


@pytest.fixture(autouse=True)
def on_a_device(monkeypatch):
    rates_stay_unread(monkeypatch)
    monkeypatch.setattr(capture, "_say", lambda what: said.append(what))
    said.clear()


said: list[str] = []


def trained(config, captured=None, to=None):
    made = replace(make_trainer(config), captured=captured)
    while made.step < (to or made.budget.steps):
        made.train_step()
    return made


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.state_dict().values()])


def close(actual, expected, before):
    """Whether a run is another's but for rounding, which Adam may blow up where gradients vanish.

    A rate or a decay that stood still would move it by more than a tenth of its way.
    """
    way = (weights(expected) - weights(before)).norm()
    return way > 0.1 and (weights(actual) - weights(expected)).norm() < 0.02 * way


RUNS = [
    ("optim=adamw", "lr=0.01", "wd=0.02", "batch_size=9"),  # batches of 9, 9 and 6
    ("optim=adam", "lr=0.01", "wd=0.02", "loss_scale=3"),
    ("optim=sgdw", "lr=0.1", "wd=0.02", "no_decay=norm_and_bias"),
    ("optim=sgd", "lr=0.1", "wd=0.02"),
    ("optim=adam_l2_v", "lr=0.01", "wd=0.02"),
    ("optim=adamw", "lr=0.01", "wd=0.5", "schedule=warm_restarts", "schedule.t_0=1",
     "warmup_epochs=0", "decay=normalized"),
    ("optim=adamw", "lr=0.01", "wd=0.02", "model=gpt", "model.dropout=0.2", "model.width=8"),
]  # fmt: skip


@pytest.mark.parametrize("words", RUNS, ids=" ".join)
@pytest.mark.parametrize("block", [5, 240])
def test_replayed_steps_are_those_of_a_run_that_is_not_captured(words, block, monkeypatch):
    monkeypatch.setattr(batches, "BLOCK", block)
    config = build_config("epochs=8", *words)
    expected, before = trained(config), trained(config, to=1)
    captured = Recorded()
    actual = trained(config, captured)
    with monkeypatch.context() as patched:
        patched.setattr(capture, "WARM_UP", 1000)
        unrecorded = trained(config, Recorded())
    assert torch.equal(weights(actual), weights(unrecorded))
    assert torch.equal(actual._recent, unrecorded._recent)
    assert close(actual, expected, before)
    # of each size of a batch and each factor on the decay one, from its third step on
    kinds = {(size, expected.weight_decay_scale(step)) for step in range(24)
             for size in [expected.batches.size(step)]}  # fmt: skip
    assert len(captured.recordings) == len(kinds)
    assert len(kinds) == (2 if "batch_size=9" in words else 4 if "decay=normalized" in words else 1)


def test_a_captured_run_goes_on_to_the_bit_and_also_without_capture():
    config = build_config("epochs=8", "optim=adamw", "lr=0.01", "wd=0.02")
    whole, before = trained(config, Recorded()), trained(config, to=1)
    half = trained(config, Recorded(), to=11)
    state = half.state_dict()
    assert not torch.is_tensor(state["optimizer"]["param_groups"][0]["lr"])
    again = replace(make_trainer(config), captured=Recorded())
    again.load_state_dict(state)
    plain = make_trainer(config)
    plain.load_state_dict(trained(config, Recorded(), to=11).state_dict())
    for made in (again, plain):
        while made.step < made.budget.steps:
            made.train_step()
    assert torch.equal(weights(again), weights(whole))
    assert close(plain, whole, before)


class Branches(torch.nn.Module):
    """A network whose course depends on its data."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, tokens):
        logits = self.model(tokens)
        return logits * 2 if logits.sum() > 0 else logits


def test_what_cannot_be_captured_goes_on_without_and_says_so_once():
    config = build_config("epochs=8", "optim=adamw", "lr=0.01", "wd=0.02")
    runs = []
    for captured in (Recorded(), None):
        made = replace(make_trainer(config), captured=captured)
        made.forward = Branches(made.model)
        for _ in range(8):
            made.train_step()
        runs.append(made)
    assert close(*runs, trained(config, to=1))
    assert len(said) == 1
    assert "one cannot be captured: operation not permitted" in said[0]


def test_what_must_be_captured_and_cannot_be_is_refused():
    made = replace(make_trainer(build_config()), captured=Recorded(required=True))
    made.forward = Branches(made.model)
    made.train_step()
    made.train_step()
    with pytest.raises(UserError, match="^capture=true: a step cannot be captured: operation"):
        made.train_step()


GPU, CPU = torch.device("cuda"), torch.device("cpu")


def adamw():
    return AdamW([torch.ones(1, requires_grad=True)])


@pytest.mark.parametrize(
    ("word", "device", "make", "watched", "expected"),
    [
        ("auto", GPU, adamw, False, True),
        ("true", GPU, adamw, False, True),
        ("false", GPU, adamw, False, False),
        ("auto", CPU, adamw, False, False),
        ("auto", GPU, adamw, True, "steps are not captured: a probe looks at every step"),
        ("auto", GPU, lambda: torch.optim.SGD([torch.ones(1)]), False,
         "steps are not captured: SGD has no capturable=True"),
    ],
)  # fmt: skip
def test_when_steps_are_captured(word, device, make, watched, expected):
    found = resolve_capture(word, device, make(), watched=watched)
    assert found is (expected is True)
    assert said == ([expected] if isinstance(expected, str) else [])


def test_capture_that_is_asked_for_and_impossible_is_refused():
    with pytest.raises(UserError, match="needs an NVIDIA GPU, got device=cpu; allowed here: auto"):
        resolve_capture("true", CPU, adamw(), watched=False)
    with pytest.raises(UserError, match="capture=true: a probe looks at every step"):
        resolve_capture("true", GPU, adamw(), watched=True)
    for word in ("true", "false", "auto"):
        validate(build_config(f"capture={word}"))
    with pytest.raises(UserError, match="capture must be one of auto, true, false, got 'often'"):
        validate(build_config("capture=often"))


def test_calls_side_by_side_are_all_carried_out():
    done = []
    side_by_side([lambda n=n: done.append(n) for n in range(12)], CPU)
    assert done == list(range(12))


# On a CUDA device -----------------------------------------------------------------------------


@pytest.mark.cuda
@pytest.mark.parametrize("words", RUNS, ids=" ".join)
def test_a_graph_takes_the_steps_that_the_run_would_take(words):
    from experiments.run import build

    config = replace(build_config("epochs=8", *words), precision="fp32")
    runs = []
    for word in ("false", "true"):
        chosen = replace(config, capture=word)
        made = build.build_trainer(chosen, build.build_task(chosen), GPU)
        for _ in range(20):
            made.train_step()
        runs.append(made)
    assert close(*runs, build.build_trainer(config, build.build_task(config), GPU))
