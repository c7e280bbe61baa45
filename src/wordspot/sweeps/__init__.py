"""Train the same thing with several settings and seeds, and compare.

- `grid` is the list of trainings: every combination of the varied settings, with every seed.
- `training` does one of them, from wherever it was interrupted.
- `tune` runs them side by side on Ray Tune. `sweep` puts all of it together; `result` has the means and intervals.
"""
