"""Sound as checked float32 arrays: files, resampling, where speech is, noise, the microphone."""
