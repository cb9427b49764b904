"""`taskgrain compare`: features from any encoders, with the same draws, probes and tests."""
