"""Every command beside studies: each folder has all of one, its command-line function included."""
