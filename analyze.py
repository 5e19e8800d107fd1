"""Draw what has been run of an experiment so far: python analyze.py experiment=NAME."""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from experiments.errors import UserError
from experiments.grid import analysis, planned
from experiments.report.report import report


@hydra.main(version_base="1.3", config_path="configs/analyze", config_name="analyze")
def main(cfg: DictConfig) -> None:
    """Print the summary of the report that is written to ``results/NAME``."""
    options = OmegaConf.to_container(cfg, resolve=True)
    typed = {override.split("=")[0] for override in HydraConfig.get().overrides.task}
    preset = analysis(options["experiment"])
    options |= {key: value for key, value in preset.items() if key not in typed}
    try:
        print(report(options, planned(options["experiment"])))
    except UserError as error:
        sys.exit(f"analyze.py: {error}")


if __name__ == "__main__":
    main()
