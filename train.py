"""Train one configuration, or with -m a sweep of them; --help explains."""

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from experiments.cli import entry_point, one_line_errors, refuse_sweep_without_multirun, run_folder
from experiments.sweep.objective import objective


@entry_point()
@hydra.main(version_base="1.3", config_path="configs", config_name="train")
@one_line_errors()
def main(cfg: DictConfig) -> float:
    """Run, print one line, and return the error in percent that a search minimizes."""
    from experiments.run.cell import run, summarize  # torch is imported only now
    from experiments.tracking.mirror import drop_what_names_one_run

    refuse_sweep_without_multirun()
    if HydraConfig.get().mode == RunMode.MULTIRUN:  # under a launcher that calls this for each cell
        drop_what_names_one_run()
    row = run(cfg, run_folder())
    print(summarize(row, run_folder()))
    return objective(row)


if __name__ == "__main__":
    main()
