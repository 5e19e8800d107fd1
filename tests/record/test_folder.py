"""A run folder is written by the process that holds it, and by no other."""

import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.errors import UserError
from experiments.record.folder import RunFolder
from tests.tiny_runs import TINY, composed


def test_a_folder_that_is_anothers_by_now_is_not_written(in_tmp):
    config = OmegaConf.to_container(composed(*TINY), resolve=True)
    files = RunFolder(Path("a"), config, "id")
    with files.held():
        Path("a/lock").unlink()
        Path("a/lock").touch()
        for write in (files.append, files.checkpoint, files.finish):
            with pytest.raises(UserError, match="was removed while the run went on"):
                write({})
        files.fail(ValueError("no"))
    assert sorted(os.listdir("a")) == ["config.yaml", "lock"]
