import doctest
from importlib import import_module
from pkgutil import iter_modules

import pytest

import optim

MODULES = ["optim", *(f"optim.{module.name}" for module in iter_modules(optim.__path__))]


@pytest.mark.parametrize("name", MODULES)
def test_every_example_prints_what_it_says(name):
    assert doctest.testmod(import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    found = [test for name in MODULES for test in finder.find(import_module(name)) if test.examples]
    assert len(found) >= 8
