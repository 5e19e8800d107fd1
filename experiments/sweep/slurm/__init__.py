"""Sweeps on a Slurm cluster: what was submitted, what the queue says, what a job runs."""
