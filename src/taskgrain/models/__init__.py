"""The networks: encoder, classification head, caption decoder; how they are built and stored."""
