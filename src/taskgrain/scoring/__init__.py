"""Caption files in, scores out: the reading, the floors, and what a number cannot say."""
