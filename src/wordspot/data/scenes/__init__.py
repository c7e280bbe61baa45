"""Synthesised audio with ground truth: the classic stream, soundscapes, trigger scenes."""
