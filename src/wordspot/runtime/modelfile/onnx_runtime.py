"""The only place that imports ONNX Runtime, so that its telemetry is off before it loads.

From version 1.29 on, ONNX Runtime looks up a host, sends usage data and writes a device id into the home folder, on Linux and
macOS too, unless ``ORT_DISABLE_TELEMETRY=1`` is set before the first import. `disable_telemetry_events()` comes too late.
"""

from __future__ import annotations

import os
from typing import Any


def import_onnxruntime() -> Any:
    """The module `onnxruntime`, with telemetry off unless the user has set ``ORT_DISABLE_TELEMETRY`` to something else."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime
