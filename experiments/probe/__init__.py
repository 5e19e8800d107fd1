"""What decay takes of each weight: the probe that watches a run, and its table."""
