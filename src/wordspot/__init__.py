"""Train keyword spotters and wake words on your own recordings, and run them anywhere.

    import wordspot as ws

    for detection in ws.detect("evening.wav"):  # with the model that comes with wordspot
        print(detection.label, detection.time_ms)

    run = ws.train("recordings", words=["yes", "no"], out="runs/two")
    print(run.evaluate("recordings", split="testing").accuracy)
    run.export("two.onnx")

Everything named here is loaded on first use, so `import wordspot` itself loads neither numpy nor torch.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, without loading typing

__version__ = "0.1.0"

#: Public name → the module that defines it.
_HOME = {
    "Card": "wordspot.runtime.modelfile.card",
    "Classifier": "wordspot.runtime.detector",
    "DecoderConfig": "wordspot.config",
    "Detection": "wordspot.runtime.decoder",
    "Detector": "wordspot.runtime.detector",
    "RecordingClassifier": "wordspot.runtime.recordings",
    "RunConfig": "wordspot.config",
    "Scorer": "wordspot.runtime.detector",
    "WordspotError": "wordspot.errors",
    "evaluate": "wordspot.training.evaluate",
    "export_web": "wordspot.server.site",
    "open_model": "wordspot.runtime.streams",
    "serve": "wordspot.server.serve",
    "speak": "wordspot.data.voices",
    "test_stream": "wordspot.evaluation.streams",
    "tune": "wordspot.evaluation.tuning",
    "write_report": "wordspot.reports.report",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'wordspot' has no attribute {name!r}")
    import importlib

    try:
        value = getattr(importlib.import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        from wordspot.errors import missing_extra

        raise missing_extra(error, f"wordspot.{name}") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})


if TYPE_CHECKING:
    from typing import Any

    from wordspot.config import DecoderConfig as DecoderConfig
    from wordspot.config import RunConfig as RunConfig
    from wordspot.data.voices import speak as speak
    from wordspot.errors import WordspotError as WordspotError
    from wordspot.evaluation.streams import test_stream as test_stream
    from wordspot.evaluation.tuning import tune as tune
    from wordspot.reports.report import write_report as write_report
    from wordspot.runtime.decoder import Detection as Detection
    from wordspot.runtime.detector import Classifier as Classifier
    from wordspot.runtime.detector import Detector as Detector
    from wordspot.runtime.detector import Scorer as Scorer
    from wordspot.runtime.modelfile.card import Card as Card
    from wordspot.runtime.recordings import RecordingClassifier as RecordingClassifier
    from wordspot.runtime.streams import open_model as open_model
    from wordspot.server.serve import serve as serve
    from wordspot.server.site import export_web as export_web
    from wordspot.training.evaluate import evaluate as evaluate
