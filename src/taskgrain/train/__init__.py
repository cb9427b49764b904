"""Training a source model: one loop, with a state that resumes to the bit."""
