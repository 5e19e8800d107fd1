"""Weights & Biases: the mirror of a run, and what a project holds of an experiment."""
