"""The laboratory's plugins for Hydra, which looks for them under this name only."""
