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
