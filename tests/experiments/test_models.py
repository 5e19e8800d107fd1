import pytest
import torch
from torch.nn import functional as F

from experiments.errors import UserError
from experiments.models import ResNet, Transformer


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_resnet_20_has_the_parameters_of_the_paper():
    # He et al. (2016), Table 6: 0.27 M. Convolutions 432 + 6*2304 + 4608+5*9216 + 18432+5*36864,
    # norms 2*(16*7 + 32*6 + 64*6), head 650.
    convolutions = 432 + 6 * 2304 + (4608 + 5 * 9216) + (18432 + 5 * 36864)
    assert parameters(ResNet(3, 10, depth=20)) == convolutions + 2 * (112 + 192 + 384) + 650


@pytest.mark.parametrize("size", [32, 16])
def test_resnet_maps_images_of_any_size_to_logits(size):
    images = torch.randn(2, 3, size, size)
    assert ResNet(3, 100, depth=8)(images).shape == (2, 100)


def test_a_resnet_block_that_grows_keeps_every_other_pixel_and_pads_channels():
    block = ResNet(3, 10, depth=8).blocks[1]
    for conv in (block.conv1, block.conv2):
        torch.nn.init.zeros_(conv.weight)
    x = torch.rand(1, 16, 8, 8)
    out = block.eval()(x)
    assert torch.equal(out[:, :16], x[:, :, ::2, ::2])
    assert not out[:, 16:].any()


@pytest.mark.parametrize("bad", [{"depth": 21}, {"depth": 2}, {"width": 0}])
def test_resnet_refuses_what_it_cannot_be(bad):
    with pytest.raises(UserError, match=f"model.{next(iter(bad))}.*got {next(iter(bad.values()))}"):
        ResNet(3, 10, **bad)


def naive(model, tokens):
    """The same network, every position of every block computed, token by token."""
    x = model.tokens(tokens) + model.places
    for block in model.blocks:
        h = block.norm1(x)
        projected = (block.query(h), *block.key_value(h).chunk(2, dim=-1))
        heads = [t.unflatten(-1, (block.heads, -1)).transpose(1, 2) for t in projected]
        attended = F.scaled_dot_product_attention(*heads)
        x = x + block.out(attended.transpose(1, 2).flatten(2))
        x = x + block.down(F.relu(block.up(block.norm2(x))))
    return model.head(model.norm(x[:, -1]))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_transformer_computes_what_the_naive_one_does_forward_and_backward(layers):
    torch.manual_seed(0)
    model = Transformer(11, 3, 7, width=16, heads=4, layers=layers).double()
    tokens = torch.randint(0, 11, (32, 3))
    expected = naive(model, tokens)
    loss = torch.randn_like(expected)
    reference = torch.autograd.grad((expected * loss).sum(), list(model.parameters()))
    actual = model(tokens)
    gradients = torch.autograd.grad((actual * loss).sum(), list(model.parameters()))
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradients, reference, rtol=1e-8, atol=1e-10)


def test_transformer_of_modular_addition_has_its_parameters():
    # tokens 48*64, places 3*64, block 12*64^2 + 13*64, norms, head
    model = Transformer(48, 3, 47, width=64, heads=4, layers=1)
    block = 4 * 64 * 64 + 4 * 64 + 2 * (64 * 256) + 256 + 64 + 2 * 128
    assert parameters(model) == 48 * 64 + 3 * 64 + block + 128 + 64 * 47 + 47


@pytest.mark.parametrize("bad", [{"width": 30}, {"heads": 0}, {"layers": 0}])
def test_transformer_refuses_what_it_cannot_be(bad):
    with pytest.raises(UserError, match=f"model.{next(iter(bad))}"):
        Transformer(8, 3, 7, **bad)
