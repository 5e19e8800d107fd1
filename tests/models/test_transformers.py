"""The transformers, against one written out position by position."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from experiments.errors import UserError
from experiments.models import Transformer, VisionTransformer
from experiments.models.block import TINY, Dropout, attention
from experiments.models.vision_transformer import patches
from optim import parameter_groups
from tests.tiny_runs import build_config, make_trainer


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def naive(model, vectors, causal):
    """The stream after the last norm: every position of every block, scores masked by hand."""
    x = vectors + model.places[: vectors.shape[1]]
    for block in model.blocks:
        h = block.norm1(x)
        projected = (block.query(h), *block.key_value(h).chunk(2, dim=-1))
        query, key, value = (t.unflatten(-1, (block.heads, -1)).transpose(1, 2) for t in projected)
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        if causal:
            scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
        attended = scores.softmax(-1) @ value
        x = x + block.out(attended.transpose(1, 2).flatten(2))
        x = x + block.down(block.activation(block.up(block.norm2(x))))
    return model.norm(x)


def assert_same(model, actual, expected):
    """Outputs and gradients agree to 1e-10, relatively, in float64."""
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    loss = torch.randn_like(expected)
    ours, theirs = (
        torch.autograd.grad((out * loss).sum(), list(model.parameters()))
        for out in (actual, expected)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("positions", [3, TINY, TINY + 1])
@pytest.mark.parametrize("all_positions", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_transformer_computes_what_the_naive_one_does(positions, all_positions, causal, layers):
    torch.manual_seed(0)
    shape = {"width": 16, "heads": 4, "layers": layers}
    answers = {"causal": causal, "all_positions": all_positions}
    model = Transformer(11, positions, 7, **shape, **answers).double()
    tokens = torch.randint(0, 11, (8, positions))
    expected = model.head(naive(model, model.tokens(tokens), causal))
    assert_same(model, model(tokens), expected if all_positions else expected[:, -1])


@pytest.mark.parametrize("patch", [2, 4])
def test_vision_transformer_computes_what_the_naive_one_does(patch):
    torch.manual_seed(0)
    model = VisionTransformer(3, 10, 8, patch=patch, width=16, heads=4, layers=2).double()
    images = torch.randn(5, 3, 8, 8, dtype=torch.float64).contiguous(
        memory_format=torch.channels_last
    )
    vectors = model.tokens(patches(images, patch))
    assert_same(model, model(images), model.head(naive(model, vectors, False).mean(1)))


def test_patches_are_squares_of_the_image_row_by_row():
    images = torch.arange(2 * 3 * 4 * 6).view(2, 3, 4, 6)
    cut = patches(images, 2)
    assert cut.shape == (2, 6, 12)
    corner = images[1, :, 2:4, 4:6]  # the last of the second image: (C, 2, 2)
    assert torch.equal(cut[1, 5], corner.permute(1, 2, 0).flatten())
    assert torch.equal(cut[0, 1], images[0, :, 0:2, 2:4].permute(1, 2, 0).flatten())


@pytest.mark.parametrize("read", [1, 5])
def test_both_forms_of_attention_agree_in_single_precision(read, monkeypatch):
    torch.manual_seed(0)
    query, key_value = torch.randn(4, read, 16), torch.randn(4, 5, 32)
    written_out = attention(query, key_value, 2, causal=False)
    monkeypatch.setattr("experiments.models.block.TINY", 0)
    kernel = attention(query, key_value, 2, causal=False)
    torch.testing.assert_close(written_out, kernel, rtol=1e-5, atol=1e-6)
    assert not torch.equal(written_out, kernel)  # two computations, not one twice


@pytest.mark.parametrize("positions", [5, 12])
@pytest.mark.parametrize("layers", [1, 3])
def test_a_change_never_alters_what_is_said_before_it(positions, layers):
    torch.manual_seed(0)
    model = Transformer(9, positions, 9, causal=True, all_positions=True, width=16, layers=layers)
    tokens = torch.randint(0, 9, (2, positions))
    before = model(tokens)
    for place in range(positions):
        changed = tokens.clone()
        changed[:, place] = (changed[:, place] + 1) % 9
        after = model(changed)
        assert torch.equal(after[:, :place], before[:, :place])
        assert (after[:, place:] != before[:, place:]).any(-1).all()


def test_a_model_that_may_look_ahead_does():
    torch.manual_seed(0)
    model = Transformer(9, 12, 9, all_positions=True, width=16)
    tokens = torch.randint(0, 9, (1, 12))
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 1) % 9
    assert (model(changed)[:, 0] != model(tokens)[:, 0]).all()


def test_a_shorter_input_gives_what_it_gives_at_the_start_of_a_longer_one():
    torch.manual_seed(0)
    model = Transformer(9, 12, 9, causal=True, all_positions=True, width=16, layers=2).double()
    tokens = torch.randint(0, 9, (2, 12))
    torch.testing.assert_close(model(tokens[:, :7]), model(tokens)[:, :7])


@pytest.mark.parametrize(("positions", "layers"), [(3, 1), (3, 2), (12, 1), (12, 2)])
def test_where_one_answer_is_asked_for_the_last_block_computes_one_position(positions, layers):
    model = Transformer(9, positions, 9, width=16, layers=layers)
    read = []
    for block in model.blocks:
        block.up.register_forward_pre_hook(lambda _, given: read.append(given[0].shape[1]))
    model(torch.zeros(2, positions, dtype=torch.long))
    assert read == [positions] * (layers - 1) + [1]


def test_both_tables_are_spared_as_embeddings():
    model = Transformer(9, 12, 9, width=16)
    _, spared = parameter_groups(model, 0.1, no_decay="embeddings_too")
    tables = {id(p) for p in spared["params"] if p.ndim > 1}
    assert tables == {id(model.tokens.weight), id(model.places)}
    images = VisionTransformer(3, 10, 16)
    _, spared = parameter_groups(images, 0.1, no_decay="embeddings_too")
    assert [id(p) for p in spared["params"] if p.ndim > 1] == [id(images.places)]


BLOCK = 4 * 64 * 64 + 4 * 64 + 2 * (64 * 256) + 256 + 64 + 2 * 128


def test_transformers_have_their_parameters():
    # tokens, places, blocks, norm, head
    modular = Transformer(48, 3, 47, width=64, heads=4, layers=1)
    assert parameters(modular) == 48 * 64 + 3 * 64 + BLOCK + 128 + 64 * 47 + 47
    language = {"causal": True, "all_positions": True, "layers": 2}
    untied = Transformer(65, 64, 65, **language)
    assert parameters(untied) == 65 * 64 + 64 * 64 + 2 * BLOCK + 128 + 64 * 65 + 65
    tied = Transformer(65, 64, 65, **language, tied=True)
    assert parameters(tied) == parameters(untied) - 64 * 65 - 65
    vit = VisionTransformer(3, 10, 16, patch=4, layers=4)
    assert parameters(vit) == (48 * 64 + 64) + 16 * 64 + 4 * BLOCK + 128 + 640 + 10


def test_a_tied_head_is_the_table_of_tokens_and_starts_as_one():
    torch.manual_seed(0)
    model = Transformer(500, 12, 500, all_positions=True, tied=True)
    assert model.head.weight is model.tokens.weight
    assert model.head.weight.std().item() == pytest.approx(0.02, rel=0.05)
    with pytest.raises(UserError, match="model.tied needs .* got 7 outputs, 11 tokens"):
        Transformer(11, 3, 7, tied=True)


def test_initialization_of_torch_is_left_except_for_embeddings():
    torch.manual_seed(0)
    model = Transformer(500, 100, 9, width=64, layers=1)
    assert model.tokens.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.places.std().item() == pytest.approx(0.02, rel=0.05)
    block = model.blocks[0]
    for layer in (block.query, block.up, block.down):
        bound = layer.in_features**-0.5
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert 0 < layer.bias.abs().max() <= bound


@pytest.mark.parametrize("layers", [1, 8])
def test_gpt2_scales_down_what_writes_to_the_residual_stream(layers):
    torch.manual_seed(0)
    model = Transformer(500, 100, 200, width=64, layers=layers, init="gpt2")
    for block in model.blocks:
        for layer in (block.query, block.key_value, block.up):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        for writer in (block.out, block.down):
            expected = 0.02 / math.sqrt(2 * layers)
            assert writer.weight.std().item() == pytest.approx(expected, rel=0.05)
    assert model.head.weight.std().item() == pytest.approx(0.02, rel=0.05)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            assert not layer.bias.any()
    images = VisionTransformer(3, 10, 16, init="gpt2")
    assert images.tokens.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_the_activation_is_the_one_that_is_named():
    for name, function in (("relu", F.relu), ("gelu", F.gelu)):
        model = Transformer(9, 12, 9, width=16, activation=name)
        assert model.blocks[0].activation is function


@pytest.mark.parametrize("bad", [{"width": 30}, {"width": 0}, {"width": -4}, {"heads": 0},
                                 {"layers": 0}, {"dropout": 1.0}, {"dropout": -0.1},
                                 {"activation": "tanh"}, {"init": "gpt3"}])  # fmt: skip
def test_transformer_refuses_what_it_cannot_be(bad):
    key, value = next(iter(bad.items()))
    with pytest.raises(UserError, match=rf"model.{key}.*{value}"):
        Transformer(8, 3, 7, **bad)


@pytest.mark.parametrize("patch", [0, 3, 32])
def test_a_patch_that_does_not_divide_the_image_is_refused(patch):
    with pytest.raises(UserError, match=f"model.patch .*16, got {patch}"):
        VisionTransformer(3, 10, 16, patch=patch)


def test_dropout_keeps_the_mean_and_drops_its_share():
    x = torch.ones(200, 500)
    out = Dropout(0.25, torch.Generator().manual_seed(0))(x)
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert Dropout(0.0)(x) is x


def dropping():
    torch.manual_seed(0)
    return Transformer(9, 12, 9, all_positions=True, width=16, layers=2, dropout=0.3)


@pytest.mark.parametrize("length", [3, 12])
def test_dropout_acts_on_the_embedding_and_on_what_every_part_adds(monkeypatch, length):
    model = Transformer(9, length, 9, all_positions=True, width=16, layers=2, dropout=0.3)
    tokens = torch.zeros(1, length, dtype=torch.long)
    shapes = []
    original = Dropout.__call__
    monkeypatch.setattr(Dropout, "__call__", lambda s, x: shapes.append(x.shape) or original(s, x))
    model(tokens)
    assert shapes == [(1, length, 16)] * (1 + 2 * 2)


def test_dropout_is_a_function_of_the_generator_and_off_in_evaluation():
    model, tokens = dropping(), torch.zeros(1, 12, dtype=torch.long)
    outs = []
    for seed in (0, 0, 1):
        model.generator = torch.Generator().manual_seed(seed)
        outs.append(model(tokens))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])
    model.generator = None
    torch.manual_seed(3)
    first, second = model(tokens), model(tokens)
    assert not torch.equal(first, second)
    assert torch.equal(model.eval()(tokens), model(tokens))
    assert not Transformer(9, 12, 9).draws_numbers


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def test_a_run_with_dropout_goes_on_to_the_same_bits_whatever_torch_s_own_generator_is_at():
    config = build_config("model=gpt", "model.dropout=0.2")
    whole, first, second = (make_trainer(config) for _ in range(3))
    assert whole.model.dropout == 0.2
    for step in range(5):
        whole.train_step()
        torch.manual_seed(step)
        if step < 2:
            first.train_step()
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        second.train_step()
    assert torch.equal(weights(whole), weights(second))
