"""One walk of folders: what counts as a recording, what is left out, and that every command finds the same files."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.audio.files import read_audio
from wordspot.audio.folder import SUFFIXES, find_clips, walk_folder
from wordspot.config import DataConfig, TriggerConfig
from wordspot.data.cache import decode_folder
from wordspot.data.checks.words import examine_words
from wordspot.data.clips import check_words
from wordspot.data.folders import MIN_SPEAKER_FOLDERS, left_out_notes, list_recordings
from wordspot.data.manifest.rows import read_manifest
from wordspot.data.split import assign_sets, which_set
from wordspot.data.trigger import find_folders
from wordspot.errors import DataError, NotFoundError


def save(path: Path, value: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(1600, value, np.int16), 16_000)
    return path


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """Two words with recordings in folders of people, one of them linked, and files that cannot be used."""
    root = tmp_path / "data"
    for place, name in enumerate(("yes/ann/take.flac", "yes/ben/take.flac", "yes/c.wav", "no/ann/take.wav")):
        save(root / name, place + 1)
    save(tmp_path / "elsewhere" / "deep" / "take.wav", 9)
    (root / "no" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "no" / "deep loop").symlink_to(root / "no", target_is_directory=True)
    for name in ("yes/phone.m4a", "yes/ann/phone.M4A", "no/video.webm", "no/notes.txt", "yes/.hidden.wav"):
        (root / name).write_bytes(b"x")
    save(root / "no" / "_drafts" / "a.wav")
    save(root / "no" / ".trash" / "a.wav")
    return root


CLIPS = [
    "no/ann/take.wav",
    "no/linked/deep/take.wav",
    "yes/c.wav",
    "yes/ann/take.flac",
    "yes/ben/take.flac",
]


def test_every_command_finds_the_same_files(nested: Path) -> None:
    assert [clip.path for clip in list_recordings(nested).clips] == CLIPS
    assert sorted(name for _, name in find_clips([nested])) == sorted(CLIPS)
    assert sorted(row.path for row in read_manifest(nested).rows) == sorted(CLIPS)
    assert examine_words(nested).n_recordings == len(CLIPS)
    assert len(decode_folder(list_recordings(nested), 16_000, 1600).clips) == len(CLIPS)
    found = find_folders(nested, TriggerConfig(positives=("yes",), negatives=("no",)))
    assert sorted(one.path for one in (*found.positives, *found.negatives)) == sorted(CLIPS)


def test_a_link_to_the_folder_itself_ends(tmp_path: Path) -> None:
    save(tmp_path / "yes" / "a.wav")
    (tmp_path / "yes" / "again").symlink_to(tmp_path / "yes", target_is_directory=True)
    (tmp_path / "yes" / "nowhere.wav").symlink_to(tmp_path / "gone.wav")
    files = walk_folder(tmp_path / "yes")
    assert [path.name for path in files.sounds] == ["a.wav"]
    assert [path.name for path in files.others] == ["nowhere.wav"]


def test_a_link_to_a_folder_above_is_not_followed(tmp_path: Path) -> None:
    """Else the recordings of all words would be in each word with such a link, as its own."""
    root = tmp_path / "data"
    save(root / "yes" / "a.wav", 1)
    save(root / "no" / "b.wav", 2)
    (root / "yes" / "up").symlink_to(root, target_is_directory=True)
    (root / "yes" / "ann").mkdir()
    (root / "yes" / "ann" / "far").symlink_to(tmp_path, target_is_directory=True)
    assert [clip.path for clip in list_recordings(root).clips] == ["no/b.wav", "yes/a.wav"]
    assert [name for _, name in find_clips([root])] == ["no/b.wav", "yes/a.wav"]
    assert examine_words(root).n_recordings == 2


def test_what_looks_like_a_recording_but_is_none(tmp_path: Path) -> None:
    save(tmp_path / "yes" / "a.wav")
    (tmp_path / "yes" / "dead.wav").symlink_to(tmp_path / "gone.wav")
    (tmp_path / "yes" / "self.wav").symlink_to(tmp_path / "yes" / "self.wav")
    (tmp_path / "yes" / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "yes" / "pipe.wav")
    listing = list_recordings(tmp_path)
    assert [clip.path for clip in listing.clips] == ["yes/a.wav"]
    assert {left.path: left.reason for left in listing.left_out} == {
        "yes/dead.wav": "a link that leads nowhere",
        "yes/self.wav": "a link that leads nowhere",
        "yes/pipe.wav": "a pipe or a device, not a file",
    }


def test_a_name_longer_than_libsndfiles_limit(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["d" * 200] * 6)
    folder.mkdir(parents=True)
    for name in ("a.wav", "a.flac", "a.mp3", "a.ogg"):
        soundfile.write(tmp_path / name, np.full(1600, 100, np.int16), 16_000)
        shutil.move(tmp_path / name, folder / name)
        audio, _ = read_audio(folder / name)
        assert len(audio) == 1600
    assert len(walk_folder(tmp_path).sounds) == 4


def test_training_says_what_it_does_not_use(nested: Path) -> None:
    notes = decode_folder(list_recordings(nested), 16_000, 1600).warnings
    assert any(
        note.startswith(
            "yes holds 2 files of a kind that cannot be read (.m4a) without ffmpeg; install it, or convert them: find "
        )
        for note in notes
    )
    assert any("no holds 1 files of a kind that cannot be read (.webm)" in note for note in notes)
    assert any("no/notes.txt: not a sound file" in note for note in notes)
    assert find_folders(nested, TriggerConfig(positives=("yes",), negatives=("no",))).left_out
    assert read_manifest(nested).left_out
    codes = {finding.code: finding.severity for finding in examine_words(nested).findings}
    assert codes["unreadable-kind"] == "warning"


def test_a_word_with_unreadable_files_only_says_so(tmp_path: Path) -> None:
    for name in ("music/a.wav", "other/b.wav"):
        save(tmp_path / name)
    (tmp_path / "lamp").mkdir()
    (tmp_path / "lamp" / "a.m4a").write_bytes(b"x")
    listing = list_recordings(tmp_path)
    with pytest.raises(DataError, match=r"no recordings of lamp; .*lamp holds 1 files of a kind .*ffmpeg -nostdin -i \{\}"):
        check_words(listing, ["lamp"])
    for folder in ("music", "other"):
        (tmp_path / folder / ("a.wav" if folder == "music" else "b.wav")).unlink()
    with pytest.raises(DataError, match=r"no recordings found; .*\(\.m4a\)"):
        list_recordings(tmp_path)
    with pytest.raises(DataError, match=r"\(\.m4a\)"):
        find_folders(tmp_path, TriggerConfig(positives=("lamp",)))
    with pytest.raises(NotFoundError, match="contains no recordings"):
        find_clips([tmp_path / "lamp"])


def test_recordings_beside_the_words_folders_are_noted(tmp_path: Path) -> None:
    for name in ("yes/a.wav", "no/b.wav", "loose.wav"):
        save(tmp_path / name)
    (tmp_path / "README.md").write_text("")
    assert left_out_notes(list_recordings(tmp_path).left_out) == [
        "loose.wav: recordings outside the words' folders are not used; move them into one"
    ]


def test_folders_of_many_people_keep_them_in_one_set(tmp_path: Path) -> None:
    for person in range(MIN_SPEAKER_FOLDERS):
        for word in ("yes", "no"):
            for take in range(3):
                save(tmp_path / word / f"person {person}" / f"take{take}.wav")
    save(tmp_path / "yes" / "person 0" / "bobby_nohash_0.wav")
    save(tmp_path / "yes" / "flat.wav")
    listing = list_recordings(tmp_path)
    sets = dict(zip([clip.path for clip in listing.clips], assign_sets(listing, DataConfig()), strict=True))
    for person in range(MIN_SPEAKER_FOLDERS):
        held = {name for path, name in sets.items() if f"person {person}" in path and "_nohash_" not in path}
        assert held == {which_set(f"person {person}", 10, 10)}
    assert sets["yes/person 0/bobby_nohash_0.wav"] == which_set("bobby_nohash_0.wav", 10, 10)
    assert sets["yes/flat.wav"] == which_set("flat.wav", 10, 10)
    speakers = {clip.path: clip.speaker for clip in listing.clips}
    assert speakers["yes/person 1/take0.wav"] == "person 1"
    assert speakers["yes/person 0/bobby_nohash_0.wav"] == "bobby"
    assert speakers["yes/flat.wav"] is None


def test_a_few_folders_within_a_word_do_not_decide_the_split(tmp_path: Path) -> None:
    for number in range(40):
        save(tmp_path / "yes" / "session" / f"{number}.wav")
    listing = list_recordings(tmp_path)
    assert assign_sets(listing, DataConfig()) == [which_set(clip.path, 10, 10) for clip in listing.clips]
    assert len(set(assign_sets(listing, DataConfig()))) > 1


WRITTEN = {
    ".wav": ("WAV", "PCM_16"), ".wave": ("WAV", "PCM_24"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS"),
    ".oga": ("OGG", "VORBIS"), ".opus": ("OGG", "OPUS"), ".mp3": ("MP3", None), ".mp2": None, ".aif": ("AIFF", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"), ".aifc": ("AIFF", "FLOAT"), ".au": ("AU", "PCM_16"), ".snd": ("AU", "ULAW"),
    ".caf": ("CAF", "PCM_16"), ".w64": ("W64", "PCM_16"), ".rf64": ("RF64", "PCM_16"), ".voc": ("VOC", "PCM_16"),
    ".sph": ("NIST", "PCM_16"), ".nist": ("NIST", "PCM_16"),
}  # fmt: skip


def test_each_kind_that_counts_as_a_recording_can_be_read(tmp_path: Path) -> None:
    assert set(WRITTEN) == set(SUFFIXES)
    tone = 0.5 * np.sin(np.arange(16_000) / 5)
    for suffix, kind in WRITTEN.items():
        if kind is None:  # libsndfile reads MPEG layer 2 and does not write it
            continue
        path = tmp_path / f"a{suffix}"
        soundfile.write(path, tone, 16_000, format=kind[0], subtype=kind[1])
        audio, rate = read_audio(path)
        assert rate == 16_000
        assert abs(float(np.sqrt(np.mean(audio**2))) - 0.354) < 0.05, suffix


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names there are always Unicode")
def test_a_folders_name_that_is_not_utf_8(tmp_path: Path) -> None:
    save(tmp_path / "yes" / "a.wav")
    folder = tmp_path / "yes" / "caf\udce9"
    folder.mkdir()
    (folder / "b.wav").write_bytes(b"x")
    with pytest.raises(DataError, match=r"yes/caf\\udce9/b\.wav: the name is not UTF-8; rename it"):
        list_recordings(tmp_path)
