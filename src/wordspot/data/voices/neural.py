"""What the neural engines share: an ONNX Runtime session, and phonemes with the punctuation between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from wordspot.audio.samples import Samples
from wordspot.data.voices.espeak import Espeak
from wordspot.data.voices.ipa import Word
from wordspot.errors import DataError, WordspotError, one_line
from wordspot.runtime.modelfile.onnx_runtime import import_onnxruntime

#: Marks that change how a sentence sounds; Kokoro and Piper have symbols for them.
_MARKS = re.compile(r"\s*([;:,.!?…—]+)\s*(?![^\[]*\]\])")  # not within brackets, where they are IPA
_WIDE = str.maketrans("，。！？；：、", ",.!?;:,")
_LONGEST_MESSAGE = 300


def open_voice(model: bytes, what: str) -> Any:
    """An ONNX Runtime session with one thread; several threads may run it at once.

    Raises:
        DataError: ONNX Runtime rejects the model; the message begins with `what`.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, not printed
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise DataError(f"{what}: ONNX Runtime cannot load this voice ({_short(error)}); get the file again") from error


def run_voice(session: Any, feeds: dict[str, Any], what: str) -> Samples:
    """The first output of a session as float32 [samples].

    Raises:
        WordspotError: the model cannot be run, or its sound is not finite.
    """
    try:
        speech = np.asarray(session.run(None, feeds)[0], np.float32).reshape(-1)
    except Exception as error:
        raise WordspotError(f"{what}: ONNX Runtime cannot run this voice ({_short(error)}); use another file") from error
    if not np.isfinite(speech).all():
        raise WordspotError(f"{what}: the voice's samples are not finite; use another file")
    return speech


def spell(text: str, accent: str, espeak: Espeak, *, with_tones: bool = False) -> Iterator[tuple[tuple[Word, ...], str]]:
    """The parts of a text: the phonemes of their words, and the marks after them ("" at the end).

    Args:
        with_tones: of a language that has them, the number of each tone is at the end of its phoneme.
    """
    pieces = _MARKS.split(text.translate(_WIDE).strip())
    for position in range(0, len(pieces), 2):
        marks = pieces[position + 1] if position + 1 < len(pieces) else ""
        said = pieces[position]
        words = () if not said.strip() else espeak.pronounce([said], accent)[0] if with_tones else espeak.phonemes(said, accent)
        if words or marks:
            yield words, marks


def _short(error: Exception) -> str:
    return one_line(str(error))[:_LONGEST_MESSAGE]
