"""`taskgrain labels`: a dataset's hierarchy, vocabulary and information."""
