"""Flags for the smallest training of the task `recordings`."""

SMALL = (
    "--clip-ms", "400", "--set", "model.n_bands=4", "--set", "recordings.stride_ms=400", "--batch-size", "8",
    "--steps", "2", "--evaluate-every", "2", "--set", "augment.background_frequency=0", "--device", "cpu",
    "--validation-percent", "20", "--testing-percent", "30",
)  # fmt: skip
