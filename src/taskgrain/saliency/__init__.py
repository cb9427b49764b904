"""Explanations: where and when a clip speaks for a class or for a word of the caption."""
