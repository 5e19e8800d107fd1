"""Why: what decay takes of each weight, from the probe's table to figures, claims and a page."""
