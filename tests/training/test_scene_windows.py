"""Windows cut from scenes: where words are placed, what is added up, and which label a window gets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from wordspot.config import RunConfig
from wordspot.data.cache import decode_folder
from wordspot.data.clips import build_sets
from wordspot.data.folders import list_recordings
from wordspot.labels import SILENCE, UNKNOWN
from wordspot.overrides import override
from wordspot.training.batches import Batches
from wordspot.training.loss import IGNORED
from wordspot.training.scene_windows import cut_windows, label_windows, place_windows, reverse_some

RATE = 1000  # samples are milliseconds
N = 1000
A, B, C = 2, 3, 4


def bounds_of(*rows: tuple[int, int]) -> Tensor:
    return torch.tensor([rows])


def label(labels: tuple[int, int, int], bounds: Tensor, starts: tuple[int, int, int]) -> int:
    return int(label_windows(torch.tensor([labels]), bounds, torch.tensor([starts]), N, RATE)[0])


SPEECH = bounds_of((200, 600), (300, 700), (100, 500))


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ((-2000, 0, 2000), B),  # wholly inside: 300 to 700
        ((-2000, 300, 2000), B),  # ends with the window
        ((-2000, 330, 2000), B),  # 30 ms missing still count as whole
        ((-2000, 331, 2000), IGNORED),
        ((-2000, 399, 2000), IGNORED),  # 99 of 400 ms missing
        ((-2000, 400, 2000), SILENCE),  # a quarter is missing
        ((-2000, 700, 2000), SILENCE),  # only its clip has begun
        ((-2000, -330, 2000), B),  # going: 30 ms are gone
        ((-2000, -331, 2000), IGNORED),
        ((-2000, -400, 2000), SILENCE),
        ((-200, -600, 2000), A),  # the one before is inside, the middle one (at -300 to 100) is mostly gone
        ((-200, 200, 2000), B),  # both are inside (0 to 400, 500 to 900): the later one counts
        ((-400, 500, 2000), SILENCE),  # half of each is here (-200 to 200, 800 to 1200)
    ],
)
def test_label_of_a_window(starts: tuple[int, int, int], expected: int) -> None:
    assert label((A, B, C), SPEECH, starts) == expected


def test_silence_among_the_three_is_no_word() -> None:
    empty = bounds_of((0, 0), (0, 0), (100, 500))
    assert label((SILENCE, SILENCE, C), empty, (0, 0, 2000)) == SILENCE
    assert label((SILENCE, SILENCE, C), empty, (0, 0, 100)) == C


def test_an_unknown_word_is_unknown_when_whole() -> None:
    assert label((A, UNKNOWN, C), SPEECH, (-2000, 0, 2000)) == UNKNOWN
    assert label((A, UNKNOWN, C), SPEECH, (-2000, 600, 2000)) == SILENCE


def test_windows_are_sums_of_clips_at_their_places() -> None:
    clips = torch.zeros(1, 3, N)
    clips[0, 0, 900] = 1.0
    clips[0, 1, 500] = 0.5
    clips[0, 2, 300] = 0.25
    window = cut_windows(clips, torch.tensor([[-800, 100, -100]]), RATE)
    expected = torch.zeros(1, N)
    expected[0, 100] = 1.0
    expected[0, 600] = 0.5
    expected[0, 200] = 0.25
    torch.testing.assert_close(window, expected)


def test_clips_come_and_go_softly() -> None:
    window = cut_windows(torch.ones(1, 3, N), torch.tensor([[-5000, 0, 5000]]), RATE)[0]
    assert window[0] == 0
    assert window[10] == pytest.approx(0.5)
    assert torch.equal(window[20:-20], torch.ones(N - 40))
    assert torch.equal(window, window.flip(0))


def draw(n: int = 4000, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(seed)
    first = torch.randint(0, 400, (n, 3, 1), generator=generator)
    length = torch.randint(100, 600, (n, 3, 1), generator=generator)
    bounds = torch.cat([first, first + length], dim=2)
    return bounds, place_windows(bounds, N, RATE, generator)


def test_half_of_the_middle_words_are_entire_and_the_others_come_or_go() -> None:
    bounds, starts = draw()
    first, stop = bounds[:, 1, 0] + starts[:, 1], bounds[:, 1, 1] + starts[:, 1]
    whole = (first >= 0) & (stop <= N)
    assert float(whole.float().mean()) == pytest.approx(0.5, abs=0.03)
    assert float((stop > N).float().mean()) == pytest.approx(0.25, abs=0.03)
    missing = (stop - N).clamp(min=0) + (-first).clamp(min=0)
    share = (missing / (stop - first))[~whole]
    assert float(share.min()) >= 0.24  # whole samples
    assert float(share.max()) > 0.95


def test_words_never_overlap() -> None:
    bounds, starts = draw()
    at = bounds + starts[..., None]
    for gap in (at[:, 1, 0] - at[:, 0, 1], at[:, 2, 0] - at[:, 1, 1]):
        assert int(gap.min()) >= 120
        assert int(gap.max()) <= 1200
        assert float(gap.float().mean()) == pytest.approx(660, abs=20)


def test_a_word_as_long_as_its_clip_has_one_place_inside() -> None:
    bounds = torch.tensor([[[0, N]] * 3] * 200)
    starts = place_windows(bounds, N, RATE, Generator().manual_seed(0))
    labels = label_windows(torch.full((200, 3), A), bounds, starts, N, RATE)
    assert set(starts[labels == A][:, 1].tolist()) == {0}
    assert set(labels.tolist()) <= {A, SILENCE, IGNORED}


def scene_batches(data: Path, share: float) -> Batches:
    words = ("low", "middle", "high")
    config = override(RunConfig(words=words), {"augment.scene_share": share, "training.batch_size": 200})
    decoded = decode_folder(list_recordings(data), 16_000, 16_000)
    return Batches(config, decoded, build_sets(decoded.listing, words, config.data), torch.device("cpu"))


def test_a_share_of_the_training_batch_is_cut_from_scenes(tone_folder: Path) -> None:
    audio, labels = scene_batches(tone_folder, 0.5).training_batch(Generator().manual_seed(1))
    assert audio.shape == (200, 16_000)
    partial = float((labels[:100] == SILENCE).float().mean())
    assert partial > 0.12
    assert float((labels[100:] == SILENCE).float().mean()) < partial / 2
    assert (labels[100:] != IGNORED).all()
    assert float((labels[:100] == IGNORED).float().mean()) < 0.3
    # a tone of 1 kHz is heard in every window whose label says so, and noise in every one
    spectrum = torch.fft.rfft(audio[labels == 3]).abs()
    assert (spectrum[:, 900:1100].amax(dim=1) > 10 * spectrum.median(dim=1).values).all()
    assert (audio[:100].reshape(100, 10, -1).std(dim=2) > 0).all()


def test_without_a_share_the_batches_are_as_they_were(tone_folder: Path) -> None:
    _, labels = scene_batches(tone_folder, 0).training_batch(Generator().manual_seed(1))
    assert (labels != IGNORED).all()


def test_a_word_played_backward_is_unknown() -> None:
    clips = torch.arange(24.0).reshape(2, 3, 4)
    bounds = torch.tensor([[[0, 1], [1, 3], [2, 4]]] * 2)
    labels = torch.tensor([[A, B, C], [SILENCE, UNKNOWN, C]])
    backward = torch.tensor([[False, True, True], [True, True, False]])
    played, where, called = reverse_some(clips, bounds, labels, backward)
    assert played[0].tolist() == [[0, 1, 2, 3], [7, 6, 5, 4], [11, 10, 9, 8]]
    assert where.tolist() == [[[0, 1], [1, 3], [0, 2]], [[3, 4], [1, 3], [2, 4]]]
    assert called.tolist() == [[A, UNKNOWN, UNKNOWN], [SILENCE, UNKNOWN, C]]
