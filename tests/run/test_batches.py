"""Batches read from tables are those that each step would draw by itself."""

import pytest
import torch

from experiments.models import ShakeShake
from experiments.run import batches, build
from experiments.run.batches import Batches
from experiments.seeding import stream
from experiments.tasks import Examples
from tests.tiny_runs import build_config, make_trainer, run_config

IMAGES = ("tracker=none", "task=cifar10", "task.pool=4", "model=shake_shake_32d", "model.width=2",
          "model.depth=8", "epochs=4", "batch_size=16", "warmup_epochs=0", "seed=5")  # fmt: skip


@pytest.fixture
def images(fake_cifar, tmp_path):
    """40 images in batches of 16, 16 and 8, flipped and cropped, for a network that draws."""
    config = run_config(*IMAGES, f"data_dir={fake_cifar}", f"cache_dir={tmp_path / 'cache'}")
    task = build.build_task(config)
    return task, build.build_model(config, task)


def by_hand(task, step):
    """What a step reads and its network draws, each from its own stream."""
    epoch, place = divmod(step, 3)
    order = torch.randperm(40, generator=stream(5, "batches", epoch))
    batch = task.train[order[16 * place : 16 * place + 16]]
    drawn = task.augment.draw(len(batch), stream(5, "augmentation", step))
    inputs = task.augment(task.prepare(batch.inputs), drawn)
    shaken = torch.rand(3, 2, len(batch), generator=stream(5, "network", step))
    return Examples(inputs, batch.labels), shaken


@pytest.mark.parametrize("block", [1, 4, 240])
def test_every_step_reads_what_it_would_draw_by_itself(images, monkeypatch, block):
    monkeypatch.setattr(batches, "BLOCK", block)
    task, model = images
    made = Batches(task, model, 16, 3, 5)
    assert isinstance(model, ShakeShake)
    for step in (0, 1, 2, 3, 4, 9, 8, 2, 300):  # on, and back, and far ahead
        made.fill(step)
        size = made.size(step)
        batch, (coefficients,) = made.read(torch.tensor([step]), size)
        expected, shaken = by_hand(task, step)
        assert size == len(expected) == (8 if step % 3 == 2 else 16)
        assert torch.equal(batch.inputs, expected.inputs)
        assert torch.equal(batch.labels, expected.labels)
        assert torch.equal(coefficients, shaken)


def test_tables_stay_where_they_are(images, monkeypatch):
    monkeypatch.setattr(batches, "BLOCK", 4)
    made = Batches(*images, 16, 3, 5)
    before = [table.data_ptr() for table in made._tables]
    made.fill(1)
    made.fill(9)
    assert [table.data_ptr() for table in made._tables] == before


def test_tables_take_no_more_room_than_they_may(images, monkeypatch):
    monkeypatch.setattr(batches, "ROOM", 3000)
    made = Batches(*images, 16, 3, 5)
    row = 16 * 8 + 16 + 2 * 16 * 8 + 3 * 2 * 16 * 4  # places, mirrors, shifts, coefficients
    assert made.block == 3000 // row
    monkeypatch.setattr(batches, "ROOM", 1)
    assert Batches(*images, 16, 3, 5).block == 1


def test_what_is_drawn_does_not_depend_on_torch_s_own_generator_and_leaves_it_alone():
    first, second = (make_trainer(build_config()).batches for _ in range(2))
    before = torch.random.get_rng_state()
    expected = first.at(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(9)
    assert torch.equal(second.at(3).inputs, expected.inputs)
