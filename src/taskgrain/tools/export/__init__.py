"""`taskgrain export`: a checkpoint as ONNX graphs, checked against PyTorch."""
