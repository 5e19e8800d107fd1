from dataclasses import replace

import pytest
import torch

from experiments.errors import UserError
from experiments.models import ShakeShake
from experiments.models.shake_shake import ShakeBlock, Skip
from experiments.run import batches, trainer
from experiments.seeding import stream
from tests.tiny_runs import build_config, make_trainer, run_config


def images(size=16, batch=5):
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(batch, 3, size, size, generator=generator)
    return drawn.contiguous(memory_format=torch.channels_last)


def small(**kwargs):
    torch.manual_seed(0)
    return ShakeShake(3, 10, **{"depth": 8, "width": 4} | kwargs)


@pytest.mark.parametrize(("width", "millions"), [(32, 2.92), (64, 11.65), (96, 26.19)])
def test_shake_shake_26_has_the_parameters_of_the_paper(width, millions):
    # 11.6 M for 2x64d in Loshchilov & Hutter, section 6; 26.2 M for 2x96d in Gastaldi.
    inputs, expected = 16, 3 * 16 * 9 + 2 * 16
    for outputs in (width, 2 * width, 4 * width):
        for i in range(4):
            into = inputs if i == 0 else outputs
            expected += 2 * (9 * into * outputs + 9 * outputs * outputs + 4 * outputs)
        expected += inputs * outputs + 2 * outputs  # the skip connection that changes channels
        inputs = outputs
    expected += inputs * 10 + 10
    with torch.device("meta"):
        model = ShakeShake(3, 10, depth=26, width=width)
    assert sum(p.numel() for p in model.parameters()) == expected
    assert expected / 1e6 == pytest.approx(millions, abs=0.005)


def test_evaluation_adds_the_mean_of_the_two_branches_to_the_stream():
    block = ShakeBlock(4, 4, 1).double().eval()
    x = torch.randn(3, 4, 8, 8, dtype=torch.float64)
    positive = x.clamp(min=0)
    expected = x + 0.5 * block.a(positive) + 0.5 * block.b(positive)
    torch.testing.assert_close(block(x, None), expected)


def test_a_block_that_changes_channels_rectifies_the_stream_before_its_skip_connection():
    block = ShakeBlock(4, 8, 2).eval()
    x = torch.randn(3, 4, 8, 8)
    assert torch.equal(block(x, None), block(x.clamp(min=0), None))
    assert not torch.equal(block(x, None), block(-x, None))


def test_evaluation_draws_nothing():
    model = small().eval()
    before = torch.random.get_rng_state()
    assert torch.equal(model(images()), model(images()))
    assert torch.equal(torch.random.get_rng_state(), before)


def probed(model, x):
    """Each block's branches and mixture, with the gradients that reached them."""
    seen = []

    def keep(module, inputs, output):
        output.retain_grad()
        seen.append(output)

    for block in model.blocks:
        for part in (block.a, block.b):
            part.register_forward_hook(keep)
        if block.skip is not None:
            block.skip.register_forward_hook(lambda m, i, output: seen.append(output))
        else:
            block.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0]))
        block.register_forward_hook(keep)
    weights = torch.randn(len(x), 10, generator=torch.Generator().manual_seed(1))
    (model(x) * weights.to(x.dtype)).sum().backward()
    for i, block in enumerate(model.blocks):
        parts = seen[4 * i : 4 * i + 4]
        if block.skip is None:
            skip, a, b, out = parts
        else:
            a, b, skip, out = parts
        yield a, b, skip, out


def test_forward_and_backward_take_two_coefficients_of_their_own_for_every_block_and_image():
    model = small(depth=14).double()
    batch = 5
    model.drawn = model.draw(batch, stream(0, "network", 3))
    alphas, betas = [], []
    for a, b, skip, out in probed(model, images(batch=batch).double()):
        along, towards = (out - skip - b).flatten(1), (a - b).flatten(1)
        alpha = (along * towards).sum(1) / towards.square().sum(1)
        torch.testing.assert_close(along, alpha[:, None] * towards)  # on the segment
        beta = (a.grad * out.grad).flatten(1).sum(1) / out.grad.flatten(1).square().sum(1)
        per_image = beta.view(-1, 1, 1, 1)
        torch.testing.assert_close(a.grad, per_image * out.grad)
        torch.testing.assert_close(b.grad, (1 - per_image) * out.grad)
        alphas.append(alpha)
        betas.append(beta)
    drawn = torch.cat([*alphas, *betas])
    assert len(drawn) == 2 * 6 * batch
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert drawn.std() > 0.2  # of a uniform number: 0.29
    assert len({round(value, 6) for value in drawn.tolist()}) == len(drawn)


def test_where_channels_change_the_skip_reads_every_pixel_of_a_two_by_two_diagonal():
    skip = Skip(1, 2, stride=2).eval()
    for conv in (skip.here, skip.beside):
        torch.nn.init.ones_(conv.weight)
    x = torch.arange(1.0, 17).view(1, 1, 4, 4)
    out = skip(x) * (1 + skip.norm.eps) ** 0.5
    torch.testing.assert_close(out[0, 0], torch.tensor([[1.0, 3], [9, 11]]))
    torch.testing.assert_close(out[0, 1], torch.tensor([[0.0, 0], [0, 6]]))


@pytest.mark.parametrize("size", [32, 16, 7])
def test_images_of_any_size_become_logits(size):
    assert small()(images(size)).shape == (5, 10)


def test_under_bf16_the_stream_stays_bf16_and_channels_last():
    model = small()
    streams = []
    for block in model.blocks:
        block.register_forward_hook(lambda module, inputs, output: streams.append(output))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images())
    logits.float().sum().backward()
    for x in streams:
        assert x.dtype == torch.bfloat16
        assert x.is_contiguous(memory_format=torch.channels_last)
    assert all(p.grad.isfinite().all() for p in model.parameters())


TINY_IMAGES = ("task=cifar10", "task.pool=4", "model=shake_shake_32d", "model.width=2",
               "model.depth=8", "epochs=4", "batch_size=16", "warmup_epochs=0",
               "precision=bf16")  # fmt: skip


@pytest.fixture
def config(fake_cifar, tmp_path):
    words = (*TINY_IMAGES, f"data_dir={fake_cifar}", f"cache_dir={tmp_path / 'cache'}")
    return run_config("tracker=none", *words)


def steps(trainer, count):
    for _ in range(count):
        trainer.train_step()


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.state_dict().values()])


def test_a_run_follows_from_its_seed_whatever_torch_s_own_generator_is_at(config):
    results = []
    for global_seed, seed in ((1, 0), (2, 0), (1, 7)):
        trainer = make_trainer(replace(config, seed=seed))
        torch.manual_seed(global_seed)
        steps(trainer, 3)
        results.append(weights(trainer))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_two_steps_draw_different_coefficients(config):
    trainer = make_trainer(config)
    drawn = []
    trainer.model.register_forward_pre_hook(lambda model, inputs: drawn.append(model.drawn[0]))
    steps(trainer, 2)
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[1], torch.rand(3, 2, 16, generator=stream(0, "network", 1)))


def test_a_run_that_goes_on_from_a_checkpoint_ends_with_the_same_bits(config):
    whole, first, second = (make_trainer(config) for _ in range(3))
    steps(whole, 5)
    steps(first, 2)
    second.load_state_dict(first.state_dict())
    steps(second, 3)
    assert torch.equal(weights(whole), weights(second))


def test_a_network_that_draws_nothing_costs_no_generator(monkeypatch):
    names = []
    for module in (trainer, batches):
        monkeypatch.setattr(module, "stream", lambda *key: names.append(key[1]) or stream(*key))
    steps(make_trainer(build_config("epochs=4")), 3)
    assert set(names) == {"batches"}


@pytest.mark.parametrize("bad", [{"depth": 25}, {"depth": 2}, {"width": 0}, {"width": 33}])
def test_shake_shake_refuses_what_it_cannot_be(bad):
    key, value = next(iter(bad.items()))
    with pytest.raises(UserError, match=f"model.{key}.*got {value}"):
        ShakeShake(3, 10, **bad)
