"""From a folder of clips to a classifier that says "none of these": clips, features, estimates."""
