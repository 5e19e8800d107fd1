"""Steps that a graph may hold: the same numbers as the plain ones, with lr and step as tensors."""

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from optim import SGDW, AdamPreconditioned, AdamW, RMSpropW, decoupled, schedule
from tests.optim.trajectories import PAPER, VARIANTS

AdamaxW = decoupled(torch.optim.Adamax)
ETA = schedule.cosine(12, warmup_steps=3)
papers = pytest.mark.parametrize(("optimizer_class", "options"), [*PAPER, *VARIANTS])


def parameters(dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(s, dtype=torch.float64, generator=generator) for s in [(3, 2), (4,), ()]]
    return [values.to(device, dtype).requires_grad_() for values in drawn]


def made(optimizer_class, params, lr, **options):
    groups = [{"params": params[:2]}, {"params": params[2:], "weight_decay": 0.3}]
    return optimizer_class(groups, lr=lr, weight_decay=0.02, **options)


def gradient(t, theta):
    generator = torch.Generator().manual_seed(100 * t + theta.numel())
    return torch.randn(theta.shape, dtype=torch.float64, generator=generator).to(theta)


def run(
    optimizer_class,
    lr,
    steps=range(10),
    params=None,
    compiled=None,
    after=lambda t: None,
    sparse=True,
    dtype=torch.float64,
    **options,
):
    """Return the weights after some steps under a cosine, and the optimizer.

    ``sparse`` leaves a gradient out now and then, so that the ages of the tensors differ.
    """
    params = params or parameters(dtype)
    optimizer = made(optimizer_class, params, lr, **options)
    # Before the scheduler wraps it, which no compiler can look through.
    step = torch.compile(optimizer.step, **compiled) if compiled else None
    scheduler = LambdaLR(optimizer, ETA)
    step = step or optimizer.step
    for t in steps:
        for index, theta in enumerate(params):
            theta.grad = None if sparse and index == 1 and t % 3 == 0 else gradient(t, theta)
        step()
        scheduler.step()
        after(t)
    return [theta.detach() for theta in params], optimizer


def assert_close(actual, expected, rtol=1e-12):
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=rtol)


def tensor_lr():
    return torch.tensor(0.01, dtype=torch.float64)


@papers
@pytest.mark.parametrize("make_lr", [tensor_lr, lambda: 0.01], ids=["tensor", "float"])
def test_capturable_steps_are_the_plain_ones(make_lr, optimizer_class, options):
    expected, plain = run(optimizer_class, 0.01, **options)
    actual, optimizer = run(optimizer_class, make_lr(), capturable=True, **options)
    assert_close(actual, expected)
    for (_, entry), (_, ours) in zip(plain.state.items(), optimizer.state.items(), strict=True):
        assert isinstance(entry["step"], int)
        assert torch.is_tensor(ours["step"])
        assert ours["step"] == entry["step"]


@papers
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_capturable_steps_agree_within_the_rounding_of_the_weights(dtype, optimizer_class, options):
    expected, _ = run(optimizer_class, 0.01, dtype=dtype, **options)
    actual, _ = run(optimizer_class, torch.tensor(0.01), dtype=dtype, capturable=True, **options)
    assert_close(actual, expected, rtol=2e-6 if dtype is torch.float32 else 4e-2)


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("optimizer_class", [SGDW, AdamW, RMSpropW, AdamaxW])
def test_lr_may_be_a_tensor_that_schedulers_write_into(optimizer_class, capturable):
    # torch lets a base be capturable on an accelerator only
    options = {"capturable": True} if capturable and optimizer_class in (SGDW, AdamW) else {}
    expected, _ = run(optimizer_class, 0.01)
    lr = tensor_lr()
    actual, optimizer = run(optimizer_class, lr, **options)
    assert_close(actual, expected)
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == pytest.approx(0.01 * ETA(10))
    assert optimizer.param_groups[0]["max_lr"] == 0.01


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("optimizer_class", [SGDW, AdamW])
@pytest.mark.parametrize("bad", [-0.1, 0.0, float("nan"), float("inf")])
def test_a_tensor_out_of_range_is_refused_by_name(bad, optimizer_class, capturable):
    theta = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="^lr must be a number in"):
        optimizer_class([theta], lr=torch.tensor(bad), capturable=capturable)
    for shape in ([1], [2]):
        with pytest.raises(ValueError, match="^lr must be a number in"):
            optimizer_class([theta], lr=torch.full(shape, 0.1), capturable=capturable)
    lr = torch.tensor(0.1)
    optimizer = optimizer_class([theta], lr=lr, weight_decay=0.1, capturable=capturable)
    theta.grad = torch.ones(2)
    lr.fill_(0.2)
    with pytest.raises(ValueError, match="is above max_lr"):
        optimizer.step()
    assert theta.tolist() == [1.0, 1.0]


def test_capturable_is_a_flag():
    with pytest.raises(ValueError, match="^capturable must be True or False, got 1$"):
        AdamW([torch.ones(1, requires_grad=True)], capturable=1)


@papers
@pytest.mark.parametrize(("before", "after"), [(False, True), (True, False)])
def test_a_run_may_change_from_one_to_the_other(before, after, optimizer_class, options):
    expected, _ = run(optimizer_class, 0.01, sparse=False, **options)
    weights, first = run(
        optimizer_class, 0.01, range(4), sparse=False, capturable=before, **options
    )
    state = first.state_dict()
    for group in state["param_groups"]:
        group["capturable"] = after
    params = [theta.clone().requires_grad_() for theta in weights]
    second = made(optimizer_class, params, 0.5, **options)
    second.load_state_dict(state)
    for t in range(4, 10):
        for theta in params:
            theta.grad = gradient(t, theta)
        for group in second.param_groups:
            group["lr"] = 0.01 * ETA(t)
        second.step()
    assert_close([theta.detach() for theta in params], expected)
    assert torch.is_tensor(second.state[params[0]]["step"]) is after


# Compiled -------------------------------------------------------------------------------------

# Torch's own classes, to which RMSpropW hands its step, break their graphs on purpose.
COMPILED = [
    (SGDW, tensor_lr, True), (AdamW, tensor_lr, True), (AdamW, lambda: 0.01, True),
    (AdamPreconditioned, tensor_lr, True), (RMSpropW, tensor_lr, False),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize(("optimizer_class", "make_lr", "fullgraph"), COMPILED)
def test_a_compiled_step_is_compiled_at_first_and_then_no_more(optimizer_class, make_lr, fullgraph):
    torch._dynamo.reset()
    compiled = []

    def backend(graph, inputs):
        compiled.append(len(steps))
        return graph

    steps = []
    expected, _ = run(optimizer_class, 0.01, sparse=False)
    how = {"backend": backend, "fullgraph": fullgraph}
    actual, _ = run(optimizer_class, make_lr(), compiled=how, after=steps.append, sparse=False)
    assert len(steps) == 10
    assert 0 in compiled
    assert max(compiled) < 3
    assert_close(actual, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("optimizer_class", [SGDW, AdamW])
def test_the_default_compiler_computes_the_same(optimizer_class):
    torch._dynamo.reset()
    expected, _ = run(optimizer_class, 0.01)
    actual, _ = run(optimizer_class, tensor_lr(), compiled={"backend": "inductor"})
    assert_close(actual, expected, rtol=1e-10)


@pytest.mark.parametrize("optimizer_class", [SGDW, AdamW, RMSpropW])
@pytest.mark.parametrize("make_lr", [tensor_lr, lambda: 0.01], ids=["tensor", "float"])
def test_a_compiled_step_refuses_a_rate_above_the_peak(make_lr, optimizer_class):
    torch._dynamo.reset()
    theta = torch.ones(2, dtype=torch.float64, requires_grad=True)
    theta.grad = torch.zeros_like(theta)
    optimizer = optimizer_class([theta], lr=make_lr(), weight_decay=0.1)
    step = torch.compile(optimizer.step, backend="aot_eager")
    step()
    torch.testing.assert_close(theta.detach(), torch.full_like(theta, 0.9))
    group = optimizer.param_groups[0]
    if torch.is_tensor(group["lr"]):
        group["lr"].fill_(0.02)
    else:
        group["lr"] = 0.02
    with pytest.raises((RuntimeError, ValueError), match="lr.* is above .*max_lr"):
        step()


# On a CUDA device -----------------------------------------------------------------------------


@pytest.mark.cuda
@papers
def test_a_cuda_graph_holds_the_step(optimizer_class, options):
    expected, _ = run(optimizer_class, 0.01, sparse=False, **options)
    params = parameters(device="cuda")
    start = [theta.detach().clone() for theta in params]
    for theta in params:
        theta.grad = torch.zeros_like(theta)
    lr = tensor_lr().cuda()
    optimizer = made(optimizer_class, params, lr, capturable=True, **options)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        optimizer.step()  # makes the state, which the graph must find
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step()
    with torch.no_grad():
        torch._foreach_copy_(params, start)
        for entry in optimizer.state.values():
            torch._foreach_zero_([entry[name] for name in ("step", *optimizer_class.moments)])
    for t in range(10):
        for theta in params:
            theta.grad.copy_(gradient(t, theta.detach().cpu()))
        lr.fill_(0.01 * ETA(t))
        graph.replay()
    # the fused kernel reads lr in float32
    assert_close([theta.detach().cpu() for theta in params], expected, rtol=1e-6)


@pytest.mark.cuda
@pytest.mark.parametrize("optimizer_class", [SGDW, AdamW])
def test_a_cuda_graph_of_a_plain_step_is_refused(optimizer_class):
    theta = torch.ones(2, device="cuda", requires_grad=True)
    theta.grad = torch.ones_like(theta)
    optimizer = optimizer_class([theta], lr=0.1)
    optimizer.step()
    with (
        pytest.raises(RuntimeError, match="needs capturable=True"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        optimizer.step()
