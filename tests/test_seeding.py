import torch

from experiments.seeding import seeded, stream


def draw(*key):
    return torch.rand(4, generator=stream(*key))


def test_a_stream_is_a_function_of_its_key():
    assert torch.equal(draw(0, "batches", 7), draw(0, "batches", 7))


def test_streams_of_different_seeds_names_and_indices_differ():
    keys = [(0, "batches", 0), (1, "batches", 0), (0, "init", 0), (0, "batches", 1)]
    draws = [tuple(draw(*key).tolist()) for key in keys]
    assert len(set(draws)) == len(keys)


def test_seeding_a_block_leaves_the_global_generator_as_it_was():
    before = torch.random.get_rng_state()
    with seeded(0, "init"):
        first = torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    with seeded(0, "init"):
        assert torch.equal(torch.rand(3), first)
