"""From a checkpoint to one self-contained ONNX file."""
