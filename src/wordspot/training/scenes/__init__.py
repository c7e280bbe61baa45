"""Training scenes of the task `words`: several words in a row, in noise, with a label for every window."""
