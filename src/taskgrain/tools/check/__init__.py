"""`taskgrain check`: what is missing, broken, cut off, doubled or odd in a dataset."""
