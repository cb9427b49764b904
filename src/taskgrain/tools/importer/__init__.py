"""`taskgrain import`: clips of other layouts written as a dataset."""
