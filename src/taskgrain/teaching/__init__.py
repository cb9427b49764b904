"""From a handful of clips of each action to a classifier that can answer "none of these"."""
