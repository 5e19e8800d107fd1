import pytest
import torch

from experiments.errors import UserError
from experiments.models import ResNet


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


@pytest.mark.parametrize("bad", [{"depth": 21}, {"depth": 2}, {"width": 0}, {"init": "he"}])
def test_resnet_refuses_what_it_cannot_be(bad):
    with pytest.raises(UserError, match=f"model.{next(iter(bad))}.*got {next(iter(bad.values()))}"):
        ResNet(3, 10, **bad)


@pytest.mark.parametrize(
    ("init", "variance"), [("fan_out", 2 / (9 * 64)), ("torch", 1 / (27 * 64))]
)
def test_resnet_convolutions_start_with_the_variance_that_init_names(init, variance):
    weight = ResNet(3, 10, depth=8, init=init).blocks[2].conv2.weight  # 64 to 64 channels
    assert weight.var().item() == pytest.approx(variance, rel=0.05)
