"""From an engine's ONNX to compiled TensorRT plans: typed graphs, the builder, what it made."""
