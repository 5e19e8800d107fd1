"""What a run leaves: its folder, checkpoints, identity, and the columns of the runs table."""
