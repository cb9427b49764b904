"""What a run found, as one page that needs nothing else, with its tables and figures beside it."""
