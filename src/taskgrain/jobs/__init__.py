"""Work cut into cells, run by processes that may be stopped or killed at any time."""
