"""From annotations and video files to batches of uint8 frames."""
