"""One cell: from a configuration to the objects of a run, its training, and its row."""
