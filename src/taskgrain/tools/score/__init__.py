"""`taskgrain score`: caption scores with floors, intervals and warnings."""
