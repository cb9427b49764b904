"""Features of any clips by any encoder, as the file that `taskgrain compare` reads."""
