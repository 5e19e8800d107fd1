"""``optim`` needs nothing but torch: its folder, taken alone, in a house without other packages."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import optim

SCRIPT = """
import json, sys

hidden = set(json.loads(sys.argv[1]))

class Finder:
    # finds what another finder does, except for what is hidden

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in hidden:
            return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Finder(finder) for finder in sys.meta_path]
import torch
import optim
for name in optim.__all__:
    cls = getattr(optim, name)
    if isinstance(cls, type):
        theta = torch.tensor([1.0, -2.0], requires_grad=True)
        optimizer = cls([theta], lr=0.1, weight_decay=0.01)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, optim.schedule.cosine(10))
        theta.square().sum().backward()
        optimizer.step()
        scheduler.step()
        optimizer.load_state_dict(optimizer.state_dict())
        assert theta[0] != 1, name
print(optim.__file__)
print(*sorted(hidden & {name.partition(".")[0] for name in sys.modules}))
"""


def requirements(name, found):
    """The distributions that one needs, as pip would install them."""
    found.add(name)
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return found
    for line in lines:
        other = re.match(r"[\w.-]+", line)[0].lower()
        if "extra ==" not in line and other not in found:
            requirements(other, found)
    return found


def test_optim_needs_nothing_but_torch(tmp_path):
    kept = {re.sub("[-_.]+", "-", name) for name in requirements("torch", set())}
    hidden = [
        package
        for package, owners in packages_distributions().items()
        if not {re.sub("[-_.]+", "-", owner.lower()) for owner in owners} & kept
        and package != "optim"
    ]
    assert {"numpy", "hydra", "pandas", "experiments"} <= {*hidden, "experiments"}
    source = Path(optim.__file__).parent
    shutil.copytree(source, tmp_path / "optim", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([*hidden, "experiments", "hydra_plugins"])],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    place, imported = done.stdout.splitlines()
    assert Path(place).parent == tmp_path / "optim"
    assert imported == ""


def test_optim_says_that_it_is_typed():
    assert (Path(optim.__file__).parent / "py.typed").exists()
