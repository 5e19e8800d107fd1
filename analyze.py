"""Draw what has been run of an experiment, or tell how its cells are or what they cost."""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from experiments.cli import entry_point, one_line_errors
from experiments.report.pages import verdict
from experiments.report.pages import why as why
from experiments.report.pages.request import report
from experiments.sweep.grid import analysis, planned
from experiments.sweep.status import status_of


@entry_point
@hydra.main(version_base="1.3", config_path="configs/analyze", config_name="analyze")
@one_line_errors()
def main(cfg: DictConfig) -> None:
    """Print the summary of the report written to ``results/NAME``, or the cells' state or cost."""
    options = OmegaConf.to_container(cfg, resolve=True)
    if options.pop("status"):
        print(status_of(options))
        return
    if options.pop("cost"):
        from experiments.sweep.cost import report as price  # trains for some seconds

        print(price(options["experiment"]))
        return
    if options["experiment"] == "propositions":
        from experiments.propositions import report as prove  # computes with torch

        print(prove(Path(options["results_dir"])))
        return
    if options["experiment"] == "verdict":
        print(verdict.report(Path(options["results_dir"])))
        return
    if options["experiment"] == why.NAME:
        print(why.report(Path(options["runs_dir"]), Path(options["results_dir"])))
        return
    typed = {override.split("=")[0].lstrip("+") for override in HydraConfig.get().overrides.task}
    preset = analysis(options["experiment"], options["runs_dir"])
    print(report(options, planned(options["experiment"]), preset, typed))


if __name__ == "__main__":
    main()
