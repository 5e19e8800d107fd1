import pytest
import torch

from experiments.errors import UserError
from experiments.tasks.modular import modular


def test_all_sums_are_there_once_and_right():
    task = modular(modulus=7, train_fraction=0.5, seed=0)
    tokens = torch.cat([task.train.inputs, task.test.inputs])
    labels = torch.cat([task.train.labels, task.test.labels])
    assert torch.equal((tokens[:, 0] + tokens[:, 1]) % 7, labels)
    assert torch.equal(tokens[:, 2], torch.full((49,), 7))
    assert len({tuple(row) for row in tokens[:, :2].tolist()}) == 49


@pytest.mark.parametrize(
    ("operation", "pairs", "right"),
    [
        ("add", 49, lambda a, b, c: (a + b) % 7 == c),
        ("subtract", 49, lambda a, b, c: (b + c) % 7 == a),
        ("multiply", 49, lambda a, b, c: (a * b) % 7 == c),
        ("divide", 42, lambda a, b, c: b > 0 and (b * c) % 7 == a),
    ],
)
def test_every_pair_that_has_a_result_is_there_once_and_right(operation, pairs, right):
    task = modular(modulus=7, operation=operation, seed=0)
    rows = torch.cat([task.train.inputs, task.test.inputs]).tolist()
    labels = torch.cat([task.train.labels, task.test.labels]).tolist()
    assert len({(a, b) for a, b, _ in rows}) == len(rows) == pairs
    for (a, b, equals), c in zip(rows, labels, strict=True):
        assert equals == 7
        assert 0 <= c < 7
        assert right(a, b, c)


def test_what_has_no_quotient_and_what_is_no_operation_are_refused():
    with pytest.raises(UserError, match="task.operation=divide needs a prime .*, got 49"):
        modular(modulus=49, operation="divide", seed=0)
    assert len(modular(modulus=2, operation="divide", seed=0).train) == 1
    with pytest.raises(UserError, match="task.operation must be one of add, .*, got modulo"):
        modular(operation="modulo", seed=0)


def test_each_operation_is_data_of_its_own():
    names = ("add", "subtract", "multiply", "divide")
    assert len({modular(operation=name, seed=0).fingerprint for name in names}) == 4
    assert (
        modular(seed=0).fingerprint == "63d2067e73c6b3de"
    )  # what checkpoints of sums were written with


def test_the_fraction_is_trained_on():
    assert len(modular(modulus=47, train_fraction=0.5, seed=0).train) == 1104
    assert len(modular(modulus=31, train_fraction=0.6, seed=0).train) == 577


def test_the_seed_chooses_the_pairs():
    first, again, other = (modular(modulus=7, seed=seed).train.inputs for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("key", "value"), [("modulus", 1), ("train_fraction", 0.0), ("train_fraction", 1.0),
                       ("train_fraction", float("nan")), ("train_fraction", 0.9999)]
)  # fmt: skip
def test_refuses_what_leaves_nothing_to_learn_or_to_test(key, value):
    with pytest.raises(UserError, match=f"task.{key} must .*got {value}"):
        modular(**{"modulus": 7, "seed": 0, key: value})
