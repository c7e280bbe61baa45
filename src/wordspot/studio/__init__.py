"""The studio: teaching a word in the browser, on top of `wordspot new`. `serve.studio` runs it.

A project is a folder (`project`), its recordings are files (`sounds`, `kept`), training runs in a process of its own
(`worker`, watched by `training`), and every finished training is a version with its measures (`versions`, `judging`). `routes`
makes all of it available to the page in `web`.
"""
