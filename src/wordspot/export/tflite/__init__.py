"""A trained network as a TensorFlow Lite file for microcontrollers: streaming, in 8 bits, without TensorFlow."""
