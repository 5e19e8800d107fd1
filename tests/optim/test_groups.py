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


class Marked(nn.Module):
    """Marks what does not decay as timm's models do, each of which has its own manner."""

    def __init__(self, names):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 4, 2))
        self.cls_token = None
        self.register_parameter("dist_token", None)
        self.blocks = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        self.pos_conv = nn.Conv2d(2, 2, 3, bias=False)
        self.names = names

    def no_weight_decay(self):
        return self.names


NAMED = [
    ({"pos_embed"}, {"pos_embed"}),
    ({"pos_embed", "cls_token", "dist_token", "reg_token"}, {"pos_embed"}),
    (["blocks.1.weight"], {"blocks.1.weight"}),
    ({"pos_*"}, {"pos_embed", "pos_conv.weight"}),
    ({"blocks.?.weight"}, {"blocks.0.weight", "blocks.1.weight"}),
    ({"pos_conv"}, {"pos_conv.weight"}),
    ({"blocks"}, {"blocks.0.weight", "blocks.1.weight"}),
    ({"blocks.0", "absent.*"}, {"blocks.0.weight"}),
    ({"pos"}, set()),
    (set(), set()),
    ({}, set()),
    (None, set()),
]


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize(("names", "expected"), NAMED)
def test_what_a_model_marks_is_spared_however_it_says_it(names, expected, depth):
    inner = Marked(names)
    outer = nn.Sequential(inner) if depth else inner
    groups = parameter_groups(outer, 0.1, no_decay="embeddings_too")
    spared = {id(p) for group in groups if not group["weight_decay"] for p in group["params"]}
    matrices = {name for name, p in inner.named_parameters() if p.ndim > 1}
    assert {name for name in matrices if id(inner.get_parameter(name)) in spared} == expected


def test_a_tied_weight_is_spared_under_either_name():
    inner = Marked({"pos_conv.weight"})
    inner.blocks.add_module("tied", nn.Conv2d(2, 2, 3, bias=False))
    inner.blocks.tied.weight = inner.pos_conv.weight
    decayed, _ = parameter_groups(inner, 0.1, no_decay="embeddings_too")
    assert all(p is not inner.pos_conv.weight for p in decayed["params"])


def test_names_may_be_a_plain_attribute():
    inner = Marked(set())
    inner.no_weight_decay = ("pos_embed",)
    decayed, _ = parameter_groups(inner, 0.1, no_decay="embeddings_too")
    assert all(p is not inner.pos_embed for p in decayed["params"])


@pytest.mark.parametrize("no_decay", ["norm_and_bias", "embeddings_too"])
def test_a_matrix_that_does_not_look_like_one_is_refused_in_one_line(no_decay):
    lazy = nn.Sequential(nn.LazyLinear(3), nn.ReLU())
    with pytest.raises(ValueError, match=r"^0\.weight has no shape yet: pass a batch through"):
        parameter_groups(lazy, 0.1, no_decay)
    lazy(torch.ones(1, 2))
    decayed, _ = parameter_groups(lazy, 0.1, no_decay)
    assert decayed["params"] == [lazy[0].weight]
    for mark in ("_fsdp_flattened", "ds_shape"):  # of FSDP and of DeepSpeed's ZeRO
        sharded = nn.Linear(2, 3)
        sharded.weight = nn.Parameter(torch.zeros(6))
        setattr(sharded.weight, mark, (3, 2))
        with pytest.raises(ValueError, match="^weight is sharded and flat: make the groups before"):
            parameter_groups(sharded, 0.1, no_decay)


def test_a_lazy_module_may_go_where_all_decay():
    (group,) = parameter_groups(nn.LazyLinear(3), 0.1)
    assert len(group["params"]) == 2


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
