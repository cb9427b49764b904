"""Features from anywhere compared on labels of one's own. Imports no torch."""
