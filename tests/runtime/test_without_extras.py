"""A device that detects needs numpy and onnxruntime, and no other package: not soundfile, soxr or rich, and no extra."""

from __future__ import annotations

import subprocess
import sys

ALONE = """
import sys

from wordspot.errors import EXTRAS

OTHERS = {"soundfile", "soxr", "rich", "scipy", "librosa", *EXTRAS}


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OTHERS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Blocked())
import numpy as np
import wordspot as ws

detector = ws.Detector()
second = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
detections = detector.feed(second) + detector.flush()
print(len(detections), sorted(OTHERS & {name.partition(".")[0] for name in sys.modules}))
"""


def test_the_detector_needs_numpy_and_onnxruntime_only() -> None:
    run = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["0", "[]"]
