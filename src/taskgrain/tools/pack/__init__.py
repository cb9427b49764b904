"""`taskgrain pack`: a dataset decoded once, for all studies."""
