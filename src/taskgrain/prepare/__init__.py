"""A dataset made ready: drawn, checked, packed."""
