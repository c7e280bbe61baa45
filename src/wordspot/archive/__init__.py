"""Scan archives: many or very long recordings, on all cores of a machine or on a cluster, into Parquet.

- `sources` lists recordings in folders, by patterns, from lists and on remote file systems.
- `pieces` cuts a long recording so that the joined result equals one pass.
- `worker` does the tasks; `processes` and `ray_engine` run them in other processes, and report those that were lost.
- `dataset` is the result on disk. `scan` puts all of it together; `search` reads the result and cuts clips.
"""
