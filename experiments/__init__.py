"""The laboratory: tasks, networks, the training loop, runs and sweeps of them."""
