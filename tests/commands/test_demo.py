"""The demo says early what it lacks, and an attempt that failed does not stand in the way of the next."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from support.command_line import fails, run
from wordspot.commands import demo
from wordspot.errors import WordspotError

pytest.importorskip("torch")
pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")


def test_what_is_missing_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    fails(capsys, "--per-word must be at least 30, got 3: a tenth of each word", "demo", "--out", out, "--per-word", "3")
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "onnx" else find_spec(name, *more))
    fails(capsys, r"`demo` needs onnx, which is not installed; run: .*wordspot\[export\]", "demo", "--out", out)
    assert not out.exists()


def test_an_attempt_that_failed_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A finished demo is not, except with --force; nor is a folder of somebody's own recordings."""
    tries: list[int] = []

    def speak(*_: object) -> None:
        tries.append(1)
        raise WordspotError("the disk is full")

    monkeypatch.setattr(demo, "_speak", speak)
    out = tmp_path / "demo"
    for _ in range(2):
        assert run(capsys, "demo", "--out", out)[::2] == (1, "wordspot: the disk is full\n")
    assert len(tries) == 2
    (out / "stream.html").write_text("a page")
    fails(capsys, "demo contains files; expected a new or empty folder", "demo", "--out", out)
    assert run(capsys, "demo", "--out", out, "--force")[::2] == (1, "wordspot: the disk is full\n")
    own = tmp_path / "own"
    (own / "recordings" / "yes").mkdir(parents=True)
    fails(capsys, "own contains files; expected a new or empty folder", "demo", "--out", own)
    fails(capsys, "recordings was not made by an earlier demo", "demo", "--out", own, "--force")


def test_held_out_voices_that_do_not_say_every_word(tmp_path: Path) -> None:
    for word in demo.WORDS:
        for number in range(20):
            path = tmp_path / word / f"voice{number}_nohash_0.wav"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"")
    demo._check_sets(tmp_path)
    for path in (tmp_path / "go").iterdir():
        if path.name not in ("voice0_nohash_0.wav", "voice2_nohash_0.wav"):
            path.unlink()
    with pytest.raises(WordspotError, match="held out for testing do not say every word; raise `per_word`"):
        demo._check_sets(tmp_path)
