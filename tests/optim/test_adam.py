from math import sqrt

import pytest
import torch

from optim import Adam, AdamW, schedule
from tests.optim.trajectories import assert_same, far_apart, given, noise, trajectory

# An epsilon this large shows where it is added; these betas keep the arithmetic in one's head.
BY_HAND = {"betas": (0.5, 0.75), "eps": 0.5, "eta": (1.0, 0.5, 1.0).__getitem__}
START = (1.0, -2.0, 0.5)

both_paths = pytest.mark.parametrize("fused", [False, True])


@both_paths
def test_adamw_follows_algorithm_2_by_hand(fused):
    # g1 = 2: m = .5*2 = 1, v = .25*4 = 1, mhat = 1/.5 = 2, vhat = 1/.25 = 4
    first = 1 - (0.1 * 2 / (2 + 0.5) + 0.01 * 1)
    # g2 = 1: m = .5 + .5 = 1, v = .75 + .25 = 1, mhat = 1/.75, vhat = 1/.4375
    second = first - 0.5 * (0.1 * (1 / 0.75) / (sqrt(1 / 0.4375) + 0.5) + 0.01 * first)
    path = trajectory(AdamW, given([2, 1]), 2, weight_decay=0.01, fused=fused, **BY_HAND)
    assert path.flatten().tolist() == pytest.approx([first, second], abs=1e-14)


@both_paths
def test_adam_follows_algorithm_2_by_hand(fused):
    # g1 = 1 + 1*1 = 2: m = 1, v = 1, mhat = 2, vhat = 4
    first = 1 - 0.1 * 2 / (2 + 0.5)
    assert first == pytest.approx(0.92)
    # g2 = 0 + 1*.92: m = .5 + .46 = .96, v = .75 + .25*.92^2 = .9616
    second = first - 0.5 * 0.1 * (0.96 / 0.75) / (sqrt(0.9616 / 0.4375) + 0.5)
    path = trajectory(Adam, given([1, 0]), 2, weight_decay=1.0, fused=fused, **BY_HAND)
    assert path.flatten().tolist() == pytest.approx([first, second], abs=1e-14)


@both_paths
@pytest.mark.parametrize("wd", [0.0, 0.3])
def test_adam_equals_torch_under_a_cosine(fused, wd):
    options = {"start": START, "weight_decay": wd, "eta": schedule.cosine(20), "eps": 1e-3}
    expected = trajectory(torch.optim.Adam, noise(), 20, **options)
    assert_same(trajectory(Adam, noise(), 20, fused=fused, **options), expected)


@both_paths
def test_adamw_equals_torch_with_the_decay_divided_by_alpha_under_a_cosine(fused):
    decay, alpha = 0.02, 0.1
    options = {"start": START, "lr": alpha, "eta": schedule.cosine(20)}
    expected = trajectory(torch.optim.AdamW, noise(), 20, weight_decay=decay / alpha, **options)
    ours = trajectory(AdamW, noise(), 20, weight_decay=decay, fused=fused, **options)
    assert_same(ours, expected)


@both_paths
def test_adamw_differs_from_torch_with_the_same_number_for_the_decay(fused):
    options = {"start": START, "weight_decay": 0.1}
    theirs = trajectory(torch.optim.AdamW, noise(), 20, **options)
    assert far_apart(trajectory(AdamW, noise(), 20, fused=fused, **options), theirs)


@both_paths
@pytest.mark.parametrize("optimizer_class", [Adam, AdamW])
def test_an_eta_of_zero_leaves_the_weights_alone_but_not_the_moments(optimizer_class, fused):
    theta = torch.tensor(START, requires_grad=True)
    optimizer = optimizer_class([theta], lr=0.1, weight_decay=0.3, fused=fused)
    optimizer.param_groups[0]["lr"] = 0.0  # as at the end of a cosine
    theta.grad = torch.ones(3)
    optimizer.step()
    assert torch.equal(theta.detach(), torch.tensor(START))
    assert optimizer.state[theta]["m"].abs().min() > 0


@pytest.mark.parametrize("optimizer_class", [Adam, AdamW])
@pytest.mark.parametrize(
    ("dtype", "rtol"),
    # The kernel rounds once a step where the lists round after each of about eight operations;
    # a unit of rounding is 1e-16, 6e-8 and 4e-3, and 10 steps add up.
    [(torch.float64, 1e-13), (torch.float32, 2e-6), (torch.bfloat16, 3e-2)],
)
def test_both_paths_agree_within_rounding(optimizer_class, dtype, rtol):
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator).to(dtype) for shape in [(5, 7), (3,), ()]]
    ends = []
    for fused in (False, True):
        params = [weight.clone().requires_grad_() for weight in start]
        optimizer = optimizer_class(params, lr=0.01, weight_decay=0.02, fused=fused)
        gradients = torch.Generator().manual_seed(1)
        for _ in range(10):
            for theta in params:
                theta.grad = torch.randn(theta.shape, generator=gradients).to(dtype)
            optimizer.step()
        ends.append([theta.detach() for theta in params])
    for actual, expected in zip(*ends, strict=True):
        torch.testing.assert_close(actual, expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("fused", [None, False])
@pytest.mark.parametrize("odd", ["weight", "gradient"])
def test_memory_laid_out_differently_is_stepped_correctly(odd, fused):
    # The kernel walks memory in order: given these it would step the wrong elements.
    gradient = torch.arange(-5.5, 6.5).reshape(3, 4)
    plain = torch.ones(3, 4).requires_grad_()
    strange = torch.ones(3, 8)[:, ::2].requires_grad_() if odd == "weight" else plain.clone()
    strange = strange.detach().requires_grad_()
    plain.grad = gradient.clone()
    strange.grad = gradient if odd == "weight" else gradient.t().contiguous().t()
    for theta in (plain, strange):
        AdamW([theta], lr=0.1, weight_decay=0.01, fused=fused).step()
    torch.testing.assert_close(strange.detach(), plain.detach())


def test_channels_last_weights_stay_so_and_take_the_fused_kernel():
    theta = torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last).requires_grad_()
    theta.grad = torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last)
    optimizer = AdamW([theta], fused=True)
    optimizer.step()
    assert optimizer.state[theta]["m"].is_contiguous(memory_format=torch.channels_last)


def test_the_stride_of_an_axis_of_length_1_does_not_matter():
    # so autocast hands out the gradient of a 1x1 convolution whose input is channels_last
    theta = torch.ones(4, 8, 1, 1, requires_grad=True)
    theta.grad = torch.arange(-15.5, 16.5).as_strided((4, 8, 1, 1), (8, 1, 8, 8))
    assert theta.stride() != theta.grad.stride()
    AdamW([theta], lr=0.25, fused=True).step()
    # the first step is alpha long, against the sign of the gradient
    torch.testing.assert_close(theta.detach(), 1 - 0.25 * theta.grad.sign())


@pytest.mark.parametrize("dtypes", [[torch.float16], [torch.float32, torch.float16]])
def test_fused_true_refuses_what_the_kernel_cannot_take(dtypes):
    params = [torch.ones(2, dtype=dtype, requires_grad=True) for dtype in dtypes]
    for theta in params:
        theta.grad = torch.ones_like(theta)
    with pytest.raises(ValueError, match="fused=True needs .* got torch.float16 on cpu"):
        AdamW(params, fused=True).step()


def test_half_precision_falls_back_to_the_lists_by_default():
    theta = torch.ones(2, dtype=torch.float16, requires_grad=True)
    theta.grad = torch.ones_like(theta)
    AdamW([theta], lr=0.125, eps=1e-3).step()
    assert theta.tolist() == pytest.approx([0.875, 0.875], abs=2e-3)
