"""Scores as counts that add: over two batches they are those over their union, exactly."""
