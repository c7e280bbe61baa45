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
    "Classification": "wordspot.runtime.classify",
    "Classifier": "wordspot.runtime.detector",
    "ClipLabels": "wordspot.runtime.label",
    "DecoderConfig": "wordspot.config",
    "Detection": "wordspot.runtime.decoder",
    "Detections": "wordspot.runtime.detect",
    "Detector": "wordspot.runtime.detector",
    "Labels": "wordspot.runtime.label",
    "LiveDetection": "wordspot.runtime.listener",
    "NearMiss": "wordspot.data.voices.near_misses",
    "RecordingClassifier": "wordspot.runtime.recordings",
    "Run": "wordspot.run",
    "RunConfig": "wordspot.config",
    "Scorer": "wordspot.runtime.detector",
    "WordspotError": "wordspot.errors",
    "align": "wordspot.data.align",
    "check": "wordspot.data.checks",
    "classify": "wordspot.runtime.classify",
    "compare": "wordspot.evaluation.compare",
    "detect": "wordspot.runtime.detect",
    "download": "wordspot.data.download",
    "download_speech": "wordspot.data.download",
    "download_teacher": "wordspot.data.teacher",
    "download_voices": "wordspot.data.voices.download",
    "evaluate": "wordspot.run",
    "export_c": "wordspot.export.c_target",
    "export_esphome": "wordspot.export.esphome",
    "export_tflite": "wordspot.export.tflite_target",
    "export_wasm": "wordspot.export.wasm_target",
    "export_web": "wordspot.server.site",
    "info": "wordspot.runtime.model",
    "label": "wordspot.runtime.label",
    "leave_one_generator_out": "wordspot.training.leave_one_out",
    "listen": "wordspot.runtime.listener",
    "load_run": "wordspot.run",
    "make_scenes": "wordspot.data.scenes.make_scenes",
    "make_stream": "wordspot.data.scenes.make_stream",
    "near_misses": "wordspot.data.voices.near_misses",
    "new": "wordspot.wakeword.making",
    "open_esphome": "wordspot.export.esphome_model",
    "open_model": "wordspot.runtime.model",
    "resume": "wordspot.run",
    "review": "wordspot.runtime.review",
    "scan": "wordspot.archive.scan",
    "search": "wordspot.archive.search",
    "serve": "wordspot.server.serve",
    "speak": "wordspot.data.voices",
    "spectrogram": "wordspot.feature_picture",
    "studio": "wordspot.studio.serve",
    "sweep": "wordspot.sweeps.sweep",
    "test_stream": "wordspot.evaluation.streams",
    "train": "wordspot.run",
    "tune": "wordspot.evaluation.tuning",
    "verify": "wordspot.runtime.model",
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

    from wordspot.archive.scan import scan as scan
    from wordspot.archive.search import search as search
    from wordspot.config import DecoderConfig as DecoderConfig
    from wordspot.config import RunConfig as RunConfig
    from wordspot.data.align import align as align
    from wordspot.data.checks import check as check
    from wordspot.data.download import download as download
    from wordspot.data.download import download_speech as download_speech
    from wordspot.data.scenes.make_scenes import make_scenes as make_scenes
    from wordspot.data.scenes.make_stream import make_stream as make_stream
    from wordspot.data.teacher import download_teacher as download_teacher
    from wordspot.data.voices import speak as speak
    from wordspot.data.voices.download import download_voices as download_voices
    from wordspot.data.voices.near_misses import NearMiss as NearMiss
    from wordspot.data.voices.near_misses import near_misses as near_misses
    from wordspot.errors import WordspotError as WordspotError
    from wordspot.evaluation.compare import compare as compare
    from wordspot.evaluation.streams import test_stream as test_stream
    from wordspot.evaluation.tuning import tune as tune
    from wordspot.export.c_target import export_c as export_c
    from wordspot.export.esphome import export_esphome as export_esphome
    from wordspot.export.esphome_model import open_esphome as open_esphome
    from wordspot.export.tflite_target import export_tflite as export_tflite
    from wordspot.export.wasm_target import export_wasm as export_wasm
    from wordspot.feature_picture import spectrogram as spectrogram
    from wordspot.reports.report import write_report as write_report
    from wordspot.run import Run as Run
    from wordspot.run import evaluate as evaluate
    from wordspot.run import load_run as load_run
    from wordspot.run import resume as resume
    from wordspot.run import train as train
    from wordspot.runtime.classify import Classification as Classification
    from wordspot.runtime.classify import classify as classify
    from wordspot.runtime.decoder import Detection as Detection
    from wordspot.runtime.detect import Detections as Detections
    from wordspot.runtime.detect import detect as detect
    from wordspot.runtime.detector import Classifier as Classifier
    from wordspot.runtime.detector import Detector as Detector
    from wordspot.runtime.detector import Scorer as Scorer
    from wordspot.runtime.label import ClipLabels as ClipLabels
    from wordspot.runtime.label import Labels as Labels
    from wordspot.runtime.label import label as label
    from wordspot.runtime.listener import LiveDetection as LiveDetection
    from wordspot.runtime.listener import listen as listen
    from wordspot.runtime.model import info as info
    from wordspot.runtime.model import open_model as open_model
    from wordspot.runtime.model import verify as verify
    from wordspot.runtime.modelfile.card import Card as Card
    from wordspot.runtime.recordings import RecordingClassifier as RecordingClassifier
    from wordspot.runtime.review import review as review
    from wordspot.server.serve import serve as serve
    from wordspot.server.site import export_web as export_web
    from wordspot.studio.serve import studio as studio
    from wordspot.sweeps.sweep import sweep as sweep
    from wordspot.training.leave_one_out import leave_one_generator_out as leave_one_generator_out
    from wordspot.wakeword.making import new as new
