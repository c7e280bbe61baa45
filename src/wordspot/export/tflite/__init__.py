"""Write a trained network as a streaming TensorFlow Lite file in 8 bits for microcontrollers, without TensorFlow."""
