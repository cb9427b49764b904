"""`taskgrain features`: an encoder's features of the clips of any folder."""
