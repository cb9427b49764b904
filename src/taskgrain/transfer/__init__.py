"""Frozen features, the probes that read them, and how transfer is scored.

Only `extract` imports torch; the rest works on files of features from anywhere.
"""
