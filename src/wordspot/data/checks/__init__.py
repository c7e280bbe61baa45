"""Data validation: what is wrong with a folder or a manifest before training."""
