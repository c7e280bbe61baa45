"""Running an exported model: scores, decoding, detections. Needs numpy and ONNX Runtime only."""
