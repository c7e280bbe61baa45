"""Metrics on clips, streams and whole recordings, and the choice of thresholds."""
