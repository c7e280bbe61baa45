"""The streams on which thresholds are chosen and the model is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wordspot.audio.files import write_audio
from wordspot.data.truth import read_truth
from wordspot.wakeword.measuring import make_streams
from wordspot.wakeword.project import CLIP_MS, Project, Request


def clip_with_tone(path: Path, first_s: float, last_s: float) -> None:
    """A clip with a tone between two times, and faint noise."""
    times = np.arange(int(16 * CLIP_MS)) / 16_000
    audio = 1e-4 * np.random.default_rng(0).standard_normal(len(times))
    audio += np.where((times >= first_s) & (times < last_s), 0.3 * np.sin(2 * np.pi * 440 * times), 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, audio.astype(np.float32), 16_000)


def test_streams_hold_the_phrase_to_its_end(tmp_path: Path) -> None:
    """Many of the clips, which last 1.5 s, say the phrase after the first second."""
    project = Project(tmp_path)
    for number in range(12):
        clip_with_tone(project.recordings / "hey lamp" / f"voice{number}_nohash_0.wav", 0.8, 1.4)
        clip_with_tone(project.recordings / "hey damp" / f"voice{number}_nohash_0.wav", 0.8, 1.4)
    (stream,) = make_streams(project, Request(("hey lamp",), stream_minutes=1), "testing", None)
    spoken = [word for word in read_truth(stream.with_suffix(".csv")) if word.label == "hey lamp"]
    assert len(spoken) > 3
    lengths = [word.end_ms - word.start_ms for word in spoken if word.end_ms is not None]
    assert np.allclose(lengths, 600, atol=40)
