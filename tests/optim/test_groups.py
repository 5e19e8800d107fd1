import pytest
import torch
from torch import nn

from optim import AdamW, parameter_groups


def model():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_the_paper_decays_everything():
    net = model()
    (group,) = parameter_groups(net, 0.1)
    assert group["weight_decay"] == 0.1
    assert all(a is b for a, b in zip(group["params"], net.parameters(), strict=True))


def test_norms_and_biases_may_be_spared():
    decayed, spared = parameter_groups(model(), 0.1, no_decay="norm_and_bias")
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert [p.ndim for p in decayed["params"]] == [4, 2]
    assert [p.ndim for p in spared["params"]] == [1, 1, 1, 1]


class Embeds(nn.Module):
    """A table that torch knows as one, a table that only we know, and a matrix."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(3, 2)
        self.places = nn.Parameter(torch.zeros(4, 2))
        self.head = nn.Linear(2, 3)

    def no_weight_decay(self):
        return {"places"}


def test_embeddings_may_be_spared_too():
    inner = Embeds()
    decayed, spared = parameter_groups(nn.Sequential(inner), 0.1, no_decay="embeddings_too")
    assert [id(p) for p in decayed["params"]] == [id(inner.head.weight)]
    rest = (inner.places, inner.table.weight, inner.head.bias)
    assert {id(p) for p in spared["params"]} == {id(p) for p in rest}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    decayed, spared = parameter_groups(inner, 0.1, no_decay="norm_and_bias")
    assert len(decayed["params"]) == 3


def test_frozen_parameters_are_left_out_and_so_is_an_empty_group():
    net = nn.Linear(2, 3)
    net.bias.requires_grad_(False)
    (group,) = parameter_groups(net, 0.1, no_decay="norm_and_bias")
    assert group["params"] == [net.weight]


def test_an_optimizer_spares_what_the_groups_spare():
    net = nn.Linear(2, 3)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    AdamW(parameter_groups(net, 0.5, no_decay="norm_and_bias")).step()
    torch.testing.assert_close(net.weight.detach(), 0.5 * before["weight"])
    assert torch.equal(net.bias, before["bias"])


def test_an_unknown_rule_and_a_model_that_does_not_train_are_refused():
    with pytest.raises(ValueError, match="no_decay must be one of none, .*, got 'bias'"):
        parameter_groups(model(), 0.1, no_decay="bias")
    with pytest.raises(ValueError, match="no parameter that requires a gradient"):
        parameter_groups(nn.ReLU(), 0.1)
