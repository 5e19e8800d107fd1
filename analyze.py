"""Draw what has been run of an experiment, or what else configs/analyze names; --help explains."""

import sys
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from experiments import commands
from experiments.cli import entry_point, one_line_errors


@entry_point(sweeps=False)
@hydra.main(version_base="1.3", config_path="configs/analyze", config_name="analyze")
@one_line_errors(sweeps=False)
def main(cfg: DictConfig) -> None:
    """Do what ``command`` names and print what it says."""
    typed = {override.split("=")[0].lstrip("+") for override in HydraConfig.get().overrides.task}
    print(commands.run(cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True)), typed))


if __name__ == "__main__":
    sys.argv[1:] = commands.current_form(sys.argv[1:])
    main()
