"""Intervals and tests, each naming what it generalises over. Imports no torch."""
