"""Loading is checked like constructing, whoever wrote the state dict and whatever carries it."""

import copy
import pickle
import subprocess
import sys
from math import nan

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from optim import SGD, SGDW, AdagradW, Adam, AdamL2M, AdamW, NAdamW, RMSpropW, decoupled, from_torch
from tests.optim.test_decoupled import READY
from tests.optim.trajectories import PAPER, VARIANTS

EVERY = [*PAPER, *VARIANTS, *((cls, {}) for cls, _ in READY)]
all_of_them = pytest.mark.parametrize(("optimizer_class", "options"), EVERY)
papers = pytest.mark.parametrize(("optimizer_class", "options"), [*PAPER, *VARIANTS])


def weights(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype).requires_grad_()
        for shape in [(3, 2), (4,)]
    ]


def advance(optimizer, steps, scheduler=None):
    for t in steps:
        generator = torch.Generator().manual_seed(100 + t)
        for group in optimizer.param_groups:
            for theta in group["params"]:
                grad = torch.randn(theta.shape, dtype=torch.float64, generator=generator)
                theta.grad = grad.to(theta)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def stepped(optimizer_class, steps=3, **options):
    params = weights()
    optimizer = optimizer_class(params, **{"lr": 0.1, "weight_decay": 0.02} | options)
    advance(optimizer, range(steps))
    return params, optimizer


def groups_and_moments(optimizer):
    state = [optimizer.state[p] for group in optimizer.param_groups for p in group["params"]]
    return copy.deepcopy(([g | {"params": ()} for g in optimizer.param_groups], state))


# What torch's optimizers write ----------------------------------------------------------------


def test_an_l2_coefficient_is_not_taken_for_lambda():
    theirs = torch.optim.RMSprop(weights(), lr=0.1, weight_decay=5.0)
    with pytest.raises(ValueError, match="not a state dict of RMSpropW but of a torch optimizer"):
        RMSpropW(weights(), lr=0.1).load_state_dict(theirs.state_dict())


@pytest.mark.parametrize("scheduled", [False, True, "OneCycleLR"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (AdamW, torch.optim.AdamW), (Adam, torch.optim.Adam), (SGD, torch.optim.SGD),
        (RMSpropW, torch.optim.RMSprop), (NAdamW, torch.optim.NAdam),
        (AdagradW, torch.optim.Adagrad), (SGDW, torch.optim.SGD), (AdamW, torch.optim.Adam),
    ],
)  # fmt: skip
def test_a_state_dict_of_torchs_is_refused_in_one_line_and_changes_nothing(ours, theirs, scheduled):
    foreign = theirs(weights(), lr=0.1, weight_decay=0.01)
    if scheduled == "OneCycleLR":
        OneCycleLR(foreign, 0.1, total_steps=9, cycle_momentum=False)
    elif scheduled:
        LambdaLR(foreign, lambda t: 0.5)
    advance(foreign, range(2))
    _, optimizer = stepped(ours)
    before = groups_and_moments(optimizer)
    with pytest.raises(ValueError, match=r"^not a state dict of") as refusal:
        optimizer.load_state_dict(foreign.state_dict())
    assert "\n" not in str(refusal.value)
    after = groups_and_moments(optimizer)
    assert repr(after) == repr(before)
    advance(optimizer, range(2))


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("scheduled", [False, True, "OneCycleLR"])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("ours", "theirs"), [(AdamW, torch.optim.AdamW), (Adam, torch.optim.Adam)])
def test_adams_go_on_where_torchs_stopped(ours, theirs, fused, scheduled, capturable, tmp_path):
    def schedule(optimizer):
        if scheduled == "OneCycleLR":
            return OneCycleLR(optimizer, 0.1, total_steps=9)
        return LambdaLR(optimizer, lambda t: 1 / (1 + t)) if scheduled else None

    params = weights()
    foreign = theirs(params, lr=0.1, weight_decay=0.5, betas=(0.8, 0.9), eps=1e-3)
    advance(foreign, range(3), schedule(foreign))
    torch.save(foreign.state_dict(), tmp_path / "torch.pt")
    copied = [p.detach().clone().requires_grad_() for p in params]
    optimizer = ours(copied, fused=fused, capturable=capturable)
    state = torch.load(tmp_path / "torch.pt", weights_only=True)
    optimizer.load_state_dict(from_torch(state, ours))
    (group,) = optimizer.param_groups
    assert group["weight_decay"] == pytest.approx(0.05 if ours is AdamW else 0.5)
    assert group["max_lr"] == 0.1
    assert (group["fused"], group["capturable"]) == (fused, capturable)
    for group in (optimizer.param_groups[0], foreign.param_groups[0]):
        group["lr"] *= 0.5
    advance(foreign, range(3, 6))
    advance(optimizer, range(3, 6))
    for mine, other in zip(copied, params, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)
    assert [entry["step"] for entry in optimizer.state.values()] == [6, 6]


def test_nadam_and_adamw_under_decoupled_take_torchs_decay_times_lr():
    for base, options in [
        (torch.optim.NAdam, {"decoupled_weight_decay": True}),
        (torch.optim.AdamW, {}),
    ]:
        params = weights()
        foreign = base(params, lr=0.1, weight_decay=0.5, **options)
        advance(foreign, range(2))
        copied = [p.detach().clone().requires_grad_() for p in params]
        optimizer = decoupled(base)(copied)
        optimizer.load_state_dict(from_torch(foreign.state_dict(), decoupled(base)))
        assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(0.05)
        advance(foreign, range(2, 5))
        advance(optimizer, range(2, 5))
        for mine, other in zip(copied, params, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-6)  # a product in float32


def test_moments_without_a_decay_need_no_conversion_to_a_decoupled_class():
    params = weights()
    foreign = torch.optim.RMSprop(params, lr=0.1)
    advance(foreign, range(2))
    copied = [p.detach().clone().requires_grad_() for p in params]
    optimizer = RMSpropW(copied)
    optimizer.load_state_dict(copy.deepcopy(foreign.state_dict()))
    advance(foreign, range(2, 5))
    advance(optimizer, range(2, 5))
    assert all(map(torch.equal, copied, params))


def test_from_torch_copies_what_it_takes():
    foreign = torch.optim.AdamW(weights(), lr=0.1, weight_decay=0.5)
    advance(foreign, range(2))
    state = foreign.state_dict()
    converted = from_torch(state, AdamW)
    assert {"exp_avg", "exp_avg_sq", "step"} == state["state"][0].keys()
    assert state["param_groups"][0]["weight_decay"] == 0.5
    converted["state"][0]["m"].zero_()
    assert state["state"][0]["exp_avg"].abs().min() > 0


def told(*values):
    """A case that needs a state dict to tell Adam's decay from AdamW's, as from torch 2.7 on."""
    tells = "decoupled_weight_decay" in torch.optim.AdamW(weights()).param_groups[0]
    reason = "before torch 2.7 a state dict does not tell Adam's decay from AdamW's"
    return pytest.param(*values, marks=pytest.mark.skipif(not tells, reason=reason))


@pytest.mark.parametrize(
    ("theirs", "options", "ours", "message"),
    [
        (torch.optim.AdamW, {"weight_decay": 20}, AdamW, r"at lr=0\.1 must be .*\[0, 1\), got 2"),
        told(torch.optim.AdamW, {"weight_decay": 1}, Adam, "AdamW, which no L2 term equals"),
        told(torch.optim.Adam, {"weight_decay": 1}, AdamW, "AdamW is L2's, which no decoupled"),
        (
            torch.optim.RMSprop,
            {"weight_decay": 0.1},
            RMSpropW,
            "RMSprop is L2's.*if RMSpropW wrote",
        ),
        (torch.optim.AdamW, {"amsgrad": True}, AdamW, "AdamW has no amsgrad"),
        (torch.optim.Adam, {"maximize": True}, Adam, "Adam has no maximize"),
        (torch.optim.SGD, {}, SGDW, "SGDW has no twin in torch.optim: torch's SGD keeps the"),
        (torch.optim.Adam, {}, AdamL2M, "AdamL2M has no twin in torch.optim: from_torch knows"),
    ],
)
def test_what_has_no_equal_is_refused_by_the_conversion(theirs, options, ours, message):
    foreign = theirs(weights(), lr=0.1, **options)
    with pytest.raises(ValueError, match=message) as refusal:
        from_torch(foreign.state_dict(), ours)
    assert "\n" not in str(refusal.value)


def test_the_peak_of_a_schedule_that_rose_is_given_to_the_conversion():
    foreign = torch.optim.AdamW(weights(), lr=0.1, weight_decay=0.5)
    foreign.param_groups[0] |= {"initial_lr": 0.01}  # as CyclicLR leaves it
    optimizer = AdamW(weights())
    with pytest.raises(ValueError, match="is above max_lr"):
        optimizer.load_state_dict(from_torch(foreign.state_dict(), AdamW))
    optimizer.load_state_dict(from_torch(foreign.state_dict(), AdamW, max_lr=0.2))
    assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(0.1)


# What our own write ---------------------------------------------------------------------------


@pytest.mark.parametrize(("writer", "reader"), [(Adam, AdamW), (AdamW, Adam), (SGD, SGDW)])
def test_a_decay_of_the_rival_is_refused(writer, reader):
    _, written = stepped(writer)
    with pytest.raises(ValueError, match=r"its weight_decay=0\.02 is .*, which no .* decay equals"):
        reader(weights(), lr=0.1).load_state_dict(written.state_dict())


@pytest.mark.parametrize(
    ("writer", "reader", "message"),
    [
        (SGDW, AdamW, "not a state dict of AdamW: its groups have no betas, eps"),
        (AdamW, SGDW, "not a state dict of SGDW: its groups have no momentum"),
        (AdamW, RMSpropW, "not a state dict of RMSpropW: its groups have no alpha"),
        (NAdamW, RMSpropW, "not a state dict of RMSpropW: its groups have no alpha"),
    ],
)
def test_another_optimizers_hyperparameters_are_refused(writer, reader, message):
    _, written = stepped(writer)
    with pytest.raises(ValueError, match=message):
        reader(weights(), lr=0.1).load_state_dict(written.state_dict())


@all_of_them
@pytest.mark.parametrize(
    ("key", "bad"),
    [
        ("lr", -1.0), ("lr", nan), ("lr", 0.2), ("max_lr", 0.0), ("weight_decay", -0.1),
        ("weight_decay", nan), ("weight_decay", 5.0),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_not_loaded_and_changes_nothing(key, bad, optimizer_class, options):
    _, optimizer = stepped(optimizer_class, **options)
    before = groups_and_moments(optimizer)
    state = optimizer.state_dict()
    state["param_groups"][0][key] = bad
    if not optimizer_class.decoupled and bad in (0.2, 5.0):
        optimizer.load_state_dict(state)  # L2 may exceed 1, and its rate rise
        return
    with pytest.raises(ValueError, match=rf"^{key}(=0\.2 is| must be)"):
        optimizer.load_state_dict(state)
    assert repr(groups_and_moments(optimizer)) == repr(before)


@papers
@pytest.mark.parametrize("fault", ["shape", "missing", "foreign", "step"])
def test_a_state_that_cannot_be_is_not_loaded(fault, optimizer_class, options):
    _, optimizer = stepped(optimizer_class, **options)
    state = optimizer.state_dict()
    state["state"] = {index: dict(entry) for index, entry in state["state"].items()}
    if fault == "shape":
        state["state"][1]["m"] = torch.zeros(5)
    elif fault == "missing":
        del state["state"][1]["m"]
    elif fault == "foreign":
        state["state"][1] = {"momentum_buffer": torch.zeros(4)}
    else:
        state["state"][1]["step"] = -1
    message = {
        "shape": r"m of parameter 1 must have the parameter's shape \(4,\), got \(5,\)",
        "missing": "parameter 1 has no m but",
        "foreign": "parameter 1 has no m.* but momentum_buffer$",
        "step": "step of parameter 1 must be",
    }
    with pytest.raises(ValueError, match=message[fault]):
        optimizer.load_state_dict(state)


@papers
def test_a_state_dict_of_the_first_version_loads(optimizer_class, options):
    params, optimizer = stepped(optimizer_class, **options)
    old = copy.deepcopy(optimizer.state_dict())
    for group in old["param_groups"]:
        for key in ("max_lr", "capturable", "decoupled", "decay_power", "cautious"):
            del group[key]
        group["initial_lr"] = 0.1
        group["lr"] = 0.05
    optimizer.param_groups[0]["lr"] = 0.05
    copied = [p.detach().clone().requires_grad_() for p in params]
    reader = optimizer_class(copied, lr=3.0, **options)
    reader.load_state_dict(old)
    advance(optimizer, range(3, 5))
    advance(reader, range(3, 5))
    assert all(map(torch.equal, copied, params))
    assert reader.param_groups[0]["max_lr"] == 0.1


@all_of_them
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("stepped_before", [False, True])
def test_distributed_checkpoints_carry_it_all(stepped_before, flat, optimizer_class, options):
    def start(lr):
        torch.manual_seed(0)
        model = nn.Linear(3, 2).double()
        optimizer = optimizer_class(model.parameters(), lr=lr, weight_decay=0.02, **options)
        return model, optimizer

    flags = StateDictOptions(flatten_optimizer_state_dict=flat)
    model, optimizer = start(0.1)
    if stepped_before:
        advance(optimizer, range(3))
    optimizer.param_groups[0]["lr"] = 0.05
    weights_then = copy.deepcopy(model.state_dict())
    saved = copy.deepcopy(get_optimizer_state_dict(model, optimizer, options=flags))
    other, reader = start(0.7)
    other.load_state_dict(weights_then)
    set_optimizer_state_dict(other, reader, saved, options=flags)
    advance(optimizer, range(3, 6))
    advance(reader, range(3, 6))
    # NAdam keeps a product in float32, which torch casts to the weights' type on loading
    rtol = 1e-6 if optimizer_class is NAdamW else 0
    torch.testing.assert_close(other.weight, model.weight, rtol=rtol, atol=rtol)
    assert reader.param_groups[0]["max_lr"] == 0.1


@all_of_them
def test_copies_and_pickles_go_on_alike(optimizer_class, options):
    params, optimizer = stepped(optimizer_class, **options)
    optimizer.param_groups[0]["lr"] = 0.05
    twins = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))]
    for twin in (optimizer, *twins):
        advance(twin, range(3, 6))
    for twin in twins:
        assert type(twin) is optimizer_class
        assert all(map(torch.equal, twin.param_groups[0]["params"], params))
        twin.add_param_group({"params": [torch.ones(1, requires_grad=True)]})
        assert twin.param_groups[1]["max_lr"] == 0.1


@all_of_them
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loading_into_weights_of_another_type(dtype, optimizer_class, options):
    _, optimizer = stepped(optimizer_class, **options)
    params = weights(dtype)
    reader = optimizer_class(params, lr=0.1, **options)
    reader.load_state_dict(optimizer.state_dict())
    advance(reader, range(3, 5))
    moments = [v for v in reader.state[params[0]].values() if torch.is_tensor(v) and v.ndim]
    assert moments
    assert all(moment.dtype is dtype for moment in moments)
    assert all(p.isfinite().all() for p in params)


@pytest.mark.cuda
@all_of_them
def test_loading_onto_another_device_and_back(optimizer_class, options):
    params, optimizer = stepped(optimizer_class, **options)
    moved = [p.detach().cuda().requires_grad_() for p in params]
    reader = optimizer_class(moved, lr=0.1, **options)
    # torch does not copy an age that stays on the CPU: without a copy the two would share it
    reader.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    advance(optimizer, range(3, 6))
    advance(reader, range(3, 6))
    for here, there in zip(params, moved, strict=True):
        torch.testing.assert_close(there.cpu(), here, rtol=1e-6, atol=1e-6)
    optimizer.load_state_dict(reader.state_dict())
    advance(optimizer, range(6, 7))


# Who else writes into the state ---------------------------------------------------------------


@papers
@pytest.mark.parametrize("shaped", [False, True])
def test_what_a_wrapper_writes_before_the_first_step_stays_and_does_no_harm(
    shaped, optimizer_class, options
):
    _, plain = stepped(optimizer_class, steps=0, **options)
    params, optimizer = stepped(optimizer_class, steps=0, **options)
    for theta in params:
        optimizer.state[theta]["master"] = theta.detach().clone() if shaped else {"rank": 0}
    optimizer.load_state_dict(optimizer.state_dict())  # as accelerate does at once
    advance(plain, range(3))
    advance(optimizer, range(3))
    assert all(map(torch.equal, params, plain.param_groups[0]["params"]))
    assert all("master" in optimizer.state[theta] for theta in params)
    optimizer.load_state_dict(optimizer.state_dict())
    assert "master" in optimizer.state[params[0]]


@papers
def test_a_wrapper_may_even_have_written_a_step(optimizer_class, options):
    _, plain = stepped(optimizer_class, steps=3, **options)
    params, optimizer = stepped(optimizer_class, steps=0, **options)
    for theta in params:
        optimizer.state[theta]["step"] = torch.tensor(0.0)
    advance(optimizer, range(3))
    assert all(map(torch.equal, params, plain.param_groups[0]["params"]))


@all_of_them
def test_a_gradient_scaler_and_averaged_weights_work(optimizer_class, options):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = optimizer_class(model.parameters(), lr=0.01, weight_decay=0.02, **options)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
    average = torch.optim.swa_utils.AveragedModel(model)
    before = model.weight.detach().clone()
    for step in range(4):
        optimizer.zero_grad()
        loss = model(torch.ones(1, 3)).square().sum() * (float("inf") if step == 1 else 1)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        average.update_parameters(model)
    assert model.weight.isfinite().all()
    assert not torch.equal(model.weight, before)


def test_classes_made_by_decoupled_are_found_by_another_process(tmp_path):
    made = decoupled(torch.optim.Adamax)
    optimizer = made([torch.ones(2, requires_grad=True)], lr=0.1, weight_decay=0.1)
    advance(optimizer, range(2))
    (tmp_path / "it.pkl").write_bytes(pickle.dumps((made, optimizer)))
    code = (
        "import pickle, sys; made, optimizer = pickle.load(open(sys.argv[1], 'rb'))\n"
        "assert type(optimizer) is made and made.__name__ == 'AdamaxW'\n"
        "assert len(optimizer.state) == 1\n"
        "optimizer.step()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "it.pkl")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
