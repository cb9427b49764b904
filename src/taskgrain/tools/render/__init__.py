"""`taskgrain render`: the embedded worlds written as datasets."""
