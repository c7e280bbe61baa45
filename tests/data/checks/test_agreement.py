"""`check` and `train` use the same files of a folder, and give the same reasons for those that they leave out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from wordspot.data.checks import check
from wordspot.overrides import override
from wordspot.training.recipes import recipe_config
from wordspot.training.tasks.words import WordsTask


def save(path: Path, seconds: float = 1.0, **options: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(str(path)))
    soundfile.write(path, 0.1 * rng.standard_normal(int(16_000 * seconds)), 16_000, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_nasty_folder(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for number in range(12):
        save(root / "Yes" / f"s{number}_nohash_0.wav")
        save(root / "no" / "deep" / "er" / f"s{number}_nohash_0.flac")
    save(tmp_path / "elsewhere" / "linked_nohash_0.wav")
    (root / "no" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "no" / "loop").symlink_to(root / "no", target_is_directory=True)
    (root / "no" / "gone.wav").symlink_to(tmp_path / "gone.wav")
    (root / "Yes" / "a.m4a").write_bytes(b"x")
    (root / "Yes" / "broken.wav").write_bytes(b"RIFF")
    (root / "Yes" / "empty.wav").write_bytes(b"")
    (root / "Yes" / "notes.txt").write_text("notes")
    (root / "Yes" / ".hidden.wav").write_bytes(b"x")
    save(root / "beside.wav")
    save(root / "_drafts" / "x.wav")
    (root / "nothing").mkdir()
    save(root / "other" / "long.ogg", 2.0)
    save(root / "other" / "s1.caf", format="CAF")
    (root / "testing_list.txt").write_text("Yes/s1_nohash_0.wav\n")

    found = check(root)
    config = override(recipe_config(("yes", "no"), "tiny_conv"), {"data.unknown_percent": 1000})
    notes: list[str] = []
    task = WordsTask.load(config, root, torch.device("cpu"), lambda _: None, notes.append)

    of_check = {path for one in found.findings if one.code == "damaged" for path in one.paths}
    assert of_check == {"Yes/broken.wav", "Yes/empty.wav"}
    assert all(any(path in note for note in notes) for path in of_check)
    used = {clip.path for clip in task.decoded.listing.clips}
    assert found.n_recordings == len(used | of_check) == 12 + 13 + 2 + 2
    assert not used & of_check
    for code in ("unreadable-kind", "stray-recording", "empty-folder", "ignored", "unused-lists"):
        messages = {one.message for one in found.findings if one.code == code}
        assert messages, code
        assert all(any(message in note for note in notes) for message in messages), (code, notes)
    assert [note for note in notes if "1 of 27 recordings are longer than a clip" in note]
    assert [one.paths for one in found.findings if one.code == "too-long"] == [("other/long.ogg",)]
    sets = {task.decoded.listing.clips[row].path: name for name, clips in task.sets.items() for row in clips.rows if row >= 0}
    assert set(sets) == used
