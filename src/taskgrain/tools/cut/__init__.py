"""`taskgrain cut`: a test of features cut from footage, whose labels are how clips are shown."""
