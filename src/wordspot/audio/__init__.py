"""Audio as checked float32 arrays: files, resampling, speech boundaries, noise, the microphone."""
