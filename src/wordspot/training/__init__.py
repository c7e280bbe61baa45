"""Training: augmentation, batches, the loop, checkpoints."""
