"""`taskgrain teach`: a classifier of your own actions, and how good it will be."""
