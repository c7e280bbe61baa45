"""Data folders and manifests: list, decode, split by speaker, and turn recordings into labelled clips."""
