"""What a network falls for in speech is found, and later scenes are cut around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import wordspot as ws
from training.scenes.test_scene_training import SMALL, make_speech, tensors
from wordspot.config import FeatureConfig, RunConfig
from wordspot.data.speech import Speech
from wordspot.labels import UNKNOWN
from wordspot.overrides import override
from wordspot.progress import SEARCHING, Progress
from wordspot.training.scenes import hard
from wordspot.training.scenes.copies import Copies, Recording
from wordspot.training.scenes.excerpts import Excerpts
from wordspot.training.scenes.hard import find_hard_places, n_pieces
from wordspot.training.scenes.layout import Layout
from wordspot.training.scenes.speech import SpeechReader

RATE = 1000
FEATURES = FeatureConfig(sample_rate=RATE, clip_ms=1000, window_ms=10, hop_ms=10, high_hz=400)


class LoudFrames(nn.Module):
    """A front end: the mean level of each 10 ms."""

    def forward(self, audio: Tensor) -> Tensor:
        return audio.abs().unfold(1, 10, 10).mean(dim=2, keepdim=True)


class LoudEnds(nn.Module):
    """A network that detects its word if the last frame of a window is loud, the louder the surer."""

    def windows(self, features: Tensor, stride: int) -> Tensor:
        ends = features[:, FEATURES.n_frames - 1 :: stride]
        return torch.cat([torch.zeros(*ends.shape[:2], 2), 20 * ends - 4], dim=2)


def make_reader(bursts: list[tuple[int, float]], texts: list[str], times: list[Any], length: int = 3000) -> SpeechReader:
    """Recordings of `length`, each with a burst of 10 ms at a sample."""
    audio = np.zeros(length * len(bursts), np.int16)
    for number, (at, level) in enumerate(bursts):
        audio[number * length + at : number * length + at + 10] = int(32767 * level)
    n, words = len(bursts), tuple(tuple(text.split()) for text in texts)
    arrays = tuple(None if one is None else np.array(one) for one in times)
    bounds = tuple(range(0, length * (n + 1), length))
    return SpeechReader(Speech(("x",) * n, ("",) * n, audio, bounds, words, arrays, RATE), ["lamp"])


@pytest.mark.parametrize("piece_s", [2.0, 3.3, 60.0])
def test_places_are_where_the_network_detects_a_word(monkeypatch: pytest.MonkeyPatch, piece_s: float) -> None:
    """However the recordings are cut into pieces. The third burst is too faint, the fourth is the word itself."""
    monkeypatch.setattr(hard, "_PIECE_S", piece_s)
    reader = make_reader(
        [(1500, 0.9), (2990, 0.8), (700, 0.1), (2000, 0.9)],
        ["a", "b c", "d", "a lamp"],
        [[(1400, 1600)], [(0, 500), (2900, 2995)], [(600, 800)], [(100, 200), (1900, 2010)]],
    )
    found = find_hard_places(LoudEnds(), LoudFrames(), reader, FEATURES, 1, torch.device("cpu"))
    assert found.tolist() == [[0, pytest.approx(1510 / 3000)], [1, pytest.approx(1.0)]]


def test_of_detections_close_together_the_surest_counts() -> None:
    reader = make_reader([(1500, 0.5), (200, 0.7)], ["a", "b"], [[(1400, 1600)], [(0, 300)]])
    audio = reader(0).samples
    audio[2100:2110] = 30_000  # 0.6 s after the first
    found = find_hard_places(LoudEnds(), LoudFrames(), reader, FEATURES, 1, torch.device("cpu"))
    assert found.tolist() == [[0, pytest.approx(2110 / 3000)], [1, pytest.approx(210 / 3000)]]


def test_fragments_are_cut_around_the_places() -> None:
    """Sample n of the speech is n / 32768; a fragment holds the second before the place at two thirds."""
    config = override(
        RunConfig(("a", "b")),
        {
            "features.sample_rate": RATE, "features.high_hz": 400.0, "augment.snr_db": (0.0, 0.0), "scenes.length_s": 8.0,
            "scenes.level_db": (0.0, 0.0), "scenes.hard": 1.0, "scenes.reading": 1.0, "scenes.empty": 0.0,
            "scenes.whole_clips": 0.0, "augment.gain_db": 0.0, "augment.speed": 0.0, "augment.room_frequency": 0.0,
        },
    )  # fmt: skip
    speech = Recording(np.arange(9000, dtype=np.int16), np.array([[0, 9000, UNKNOWN]]))
    clips = Copies(lambda _: speech, 1, config.augment, RATE, 0)
    excerpts = Excerpts(lambda _: speech, 1, config.augment, RATE)
    layout, rng = Layout(config, clips, np.ones(1), excerpts, [], 8000), np.random.default_rng(1)
    layout.hard["speech"] = np.array([[0, 2 / 3]])
    n_found = 0
    for _ in range(20):
        _, words = layout.draw(rng)
        for first, stop, _ in words:
            if first >= 0 and stop <= 8000:
                n_found += 1
                assert stop - first >= 1000
    assert n_found > 10
    cuts = [layout._around_hard_place((0.4, 2.5), rng)[1:] for _ in range(50)]
    assert all(begin <= 5000 and 6000 <= end <= 6500 for begin, end in cuts)


def test_noise_alone_is_cut_around_the_places() -> None:
    """The only hard place is in the second of two pieces, each of one level; scenes with words have noise of both."""
    config = override(
        RunConfig(("a", "b")),
        {
            "features.sample_rate": RATE, "features.high_hz": 400.0, "augment.snr_db": (0.0, 0.0), "scenes.length_s": 8.0,
            "scenes.level_db": (0.0, 0.0), "scenes.hard": 1.0, "scenes.empty": 1.0, "scenes.whole_clips": 0.0,
            "scenes.reading": 0.0,
        },
    )  # fmt: skip
    noise = [np.full(20_000, 1000, np.int16), np.arange(20_000, dtype=np.int16)]
    clips = Copies(lambda _: Recording(noise[0], np.zeros((0, 3), np.int64)), 1, config.augment, RATE, 0)
    layout, rng = Layout(config, clips, np.ones(1), None, noise, 8000), np.random.default_rng(1)
    layout.hard["noise"] = np.array([[1, 0.5]])
    for _ in range(50):
        piece = layout._hard_noise(8000, rng)
        assert len(piece) == 8000
        assert piece[0] + config.features.clip_samples <= 10_000 <= piece[-1] + 1
        audio, words = layout.draw(rng)
        assert not len(words)
        assert np.corrcoef(np.arange(8000), audio)[0, 1] > 0.5  # rising, and some hiss


def test_a_resumed_run_uses_the_same_places(tone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new network detects words nearly anywhere, if a posterior of 0.05 suffices."""
    monkeypatch.setattr(hard, "DETECTED", 0.05)
    speech, records, shown = make_speech(tmp_path / "speech"), list[Any](), list[Progress]()
    settings = SMALL | {"scenes.seek_at": (2, 5), "scenes.reading": 0.5}

    def train(out: Path, **more: Any) -> ws.Run:
        return ws.train(
            tone_folder, ["low", "middle", "high"], out=out, model="residual_1d", steps=8, settings=settings, init="none",
            speech=speech, **more,
        )  # fmt: skip

    train(tmp_path / "unbroken", on_record=records.append, progress=shown.append)
    assert sum(one.stage == SEARCHING and one.done == one.total for one in shown) == 2
    searches = [one for one in records if one.kind == "search"]
    assert [one.step for one in searches] == [2, 5]
    assert all(one.n_found for one in searches)
    assert "Step 2: " in searches[0].summary()
    records.clear()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", on_record=records.append, stop=lambda: len(records) >= 3)
    ws.resume(tmp_path / "run", tone_folder, speech=speech)
    one, two = tensors(tmp_path / "unbroken"), tensors(tmp_path / "run")
    assert len(one["task.hard.speech"]) + len(one["task.hard.noise"]) == sum(search.n_found for search in searches)
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())
    assert [line for line in ws.load_run(tmp_path / "run").log() if line["kind"] == "search"] == [
        {"step": search.step, "kind": "search", "n_found": search.n_found} for search in searches
    ]


def test_a_search_reports_all_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve seconds in pieces of two that begin a second apart; eight are searched at once."""
    monkeypatch.setattr(hard, "_PIECE_S", 2.0)
    reader, searched = make_reader([(0, 0.0)] * 4, ["a"] * 4, [[(0, 100)]] * 4), list[int]()
    find_hard_places(LoudEnds(), LoudFrames(), reader, FEATURES, 1, torch.device("cpu"), searched.append)
    assert searched == [8, 4]
    assert sum(searched) == n_pieces(reader, FEATURES, 1)
