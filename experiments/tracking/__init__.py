"""Weights & Biases: the mirror of a run, and what a project holds of an experiment."""

import os
import sys

if "wandb" not in sys.modules:  # it reads these when it is imported
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # else it reports home even from offline runs
    os.environ.pop("WANDB_SERVICE", None)  # a parent's, which ends with the parent
