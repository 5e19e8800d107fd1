import doctest
import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
import torch

import optim

MODULES = ["optim", *(f"optim.{module.name}" for module in iter_modules(optim.__path__))]


@pytest.mark.parametrize("name", MODULES)
def test_every_example_prints_what_it_says(name):
    assert doctest.testmod(import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    found = [test for name in MODULES for test in finder.find(import_module(name)) if test.examples]
    assert len(found) >= 8


def test_the_scripts_in_the_docs_run():
    text = (Path(__file__).parents[2] / "docs" / "own_script.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 5
    model = torch.nn.Linear(3, 2)
    batches = [(torch.ones(4, 3), torch.zeros(4, dtype=torch.long))] * 2
    before = model.weight.detach().clone()
    names = {"model": model, "batches": batches, "steps": 10}
    for block in blocks:
        exec(block, names)
    assert not torch.equal(model.weight, before)
