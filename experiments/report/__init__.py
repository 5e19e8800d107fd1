"""Reports: runs table -> statistics -> figures. Nothing here knows torch, Hydra or W&B."""
