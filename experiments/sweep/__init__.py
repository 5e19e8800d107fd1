"""Many cells: which there are, side by side on a machine, what they cost, and how they are."""
