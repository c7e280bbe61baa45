"""List the recordings in a data folder: one folder per word, and `_background_noise_`.

Files are sorted, so that the list does not depend on the file system's order. Unused files are listed too, with the reason.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wordspot.audio.folder import is_audio_name, is_unreadable_kind, walk_folder
from wordspot.errors import DataError, NotFoundError
from wordspot.formats import some
from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL, normalize_word

NOISE_FOLDER = "_background_noise_"
#: Folders inside the words' folders count as speakers if there are at least this many.
MIN_SPEAKER_FOLDERS = 5
_EXPECTED_FILES = ("readme", "licen", "copying", "validation_list.txt", "testing_list.txt")


@dataclass(frozen=True)
class Recording:
    """A sound file in a data folder.

    Attributes:
        path: relative to the data folder, with forward slashes.
        word: the name of the word's folder, lower-cased (NFC), or `NOISE_FOLDER`.
        size: bytes.
        mtime_ns: time of the last change.
        speaker_folder: the folder inside the word's folder with one speaker's recordings; empty if there is none.
    """

    path: str
    word: str
    size: int
    mtime_ns: int
    speaker_folder: str = ""

    @property
    def speaker(self) -> str | None:
        """The part of the file's name before ``_nohash_``, or else the `speaker_folder`; None if there is neither."""
        return self.split_name if "_nohash_" in self.path.rsplit("/", 1)[-1] or self.speaker_folder else None

    @property
    def split_name(self) -> str:
        """The name whose hash decides the set; recordings with the same name stay together."""
        has_name = "_nohash_" in self.path.rsplit("/", 1)[-1] or not self.speaker_folder
        return hash_name(self.path) if has_name else self.speaker_folder


@dataclass(frozen=True)
class LeftOut:
    """A file or folder in a data folder that is not used.

    Attributes:
        code: a fixed word: ``unreadable-kind``, ``bad-name``, ``unreadable``, ``empty-folder``, ``stray-recording``, ``stray``
            or ``ignored``.
        path: relative to the data folder, printable.
        reason: why it is not used and what to do; the same text for all files of one kind.
    """

    code: str
    path: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """The contents of a data folder: `clips` in the words' folders and long `noise` recordings, each sorted by path."""

    root: Path
    clips: tuple[Recording, ...]
    noise: tuple[Recording, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(sorted({clip.word for clip in self.clips}))


def list_recordings(root: Path) -> Listing:
    """List the recordings of a data folder, in each word's folder and all folders below it, sorted.

    Folders whose names begin with ``.`` or ``_`` are not words, except `SILENCE_LABEL` and `UNKNOWN_LABEL`, which contain
    recorded silence and unknown words, as in Google's test archive.

    Raises:
        NotFoundError: no such folder.
        DataError: no recordings at all, an empty `NOISE_FOLDER`, a name that is not UTF-8, or a folder that cannot be listed.
    """
    listing = survey_folder(root)
    for one in listing.left_out:
        if one.code in ("bad-name", "unreadable"):
            raise DataError(f"{root}: {one.reason}")
        if one.code == "empty-folder" and one.path == NOISE_FOLDER:
            raise DataError(f"{root / NOISE_FOLDER}: the folder holds no recordings; add some noise or remove the folder")
    if not listing.clips:
        notes = "".join(f"; {note}" for note in left_out_notes(listing.left_out))
        raise DataError(
            f"{root}: no recordings found; expected one folder per word with recordings (WAV, FLAC, Ogg or MP3){notes}"
        )
    return listing


def survey_folder(root: Path) -> Listing:
    """List a data folder like `list_recordings`, but put everything unusable into `Listing.left_out` instead of raising.

    Raises:
        NotFoundError: no such folder.
    """
    if not root.is_dir():
        raise NotFoundError(f"{root}: no such folder; expected a data folder with one folder per word")
    clips: list[Recording] = []
    noise: list[Recording] = []
    left_out: list[LeftOut] = []
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            left_out += _stray(path, root)
        elif path.name == NOISE_FOLDER:
            noise += _list_folder(root, path, NOISE_FOLDER, left_out)
        elif path.name.startswith("_") and path.name not in (SILENCE_LABEL, UNKNOWN_LABEL):
            name = printable(path.name)
            left_out.append(LeftOut("ignored", name, f"{name}: the name begins with _, so it is not a word"))
        else:
            clips += _list_folder(root, path, normalize_word(path.name), left_out)
    return Listing(root, _with_speaker_folders(clips), tuple(noise), tuple(left_out))


def left_out_notes(left_out: Sequence[LeftOut]) -> list[str]:
    """Warnings about the unused files in `Listing.left_out`, one line for each kind and word's folder."""
    unreadable: dict[tuple[str, str], list[LeftOut]] = defaultdict(list)
    others: dict[str, list[LeftOut]] = defaultdict(list)
    for one in left_out:
        if one.code == "unreadable-kind":
            unreadable[one.path.rpartition("/")[0].partition("/")[0], one.reason].append(one)
        elif one.code != "stray":
            others[one.reason].append(one)
    notes = [f"{folder or 'the data folder'} holds {len(group)} {reason}" for (folder, reason), group in unreadable.items()]
    return notes + [f"{some(one.path for one in group)}: {reason}" for reason, group in others.items()]


def left_out_files(root: Path, files: Sequence[Path]) -> Iterator[LeftOut]:
    """Explain why entries that are not files, or not sound files by their suffix, are unused."""
    for path in files:
        name = printable(path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix())
        if is_unreadable_kind(path.name):
            suffix = path.suffix.lower()
            command = f"find {shlex.quote(str(root))} -iname '*{suffix}' -exec ffmpeg -nostdin -i {{}} {{}}.wav ';'"
            yield LeftOut(
                "unreadable-kind",
                name,
                f"files of a kind that cannot be read ({suffix}) without ffmpeg; install it, or convert them: {command}",
            )
        elif not path.name.lower().startswith(_EXPECTED_FILES):
            yield LeftOut("ignored", name, _why_ignored(path))


def _why_ignored(path: Path) -> str:
    if not is_audio_name(path.name) or path.is_file():
        return "not a sound file that can be read, by its name"
    return "a pipe or a device, not a file" if path.exists() else "a link that leads nowhere"


def _stray(path: Path, root: Path) -> Iterator[LeftOut]:
    """A file beside the words' folders."""
    if is_audio_name(path.name) or is_unreadable_kind(path.name):
        text = "recordings outside the words' folders are not used; move them into one"
        yield LeftOut("stray-recording", printable(path.name), text)
    elif not path.name.lower().startswith(_EXPECTED_FILES):
        yield LeftOut("stray", printable(path.name), "files outside the words' folders are not used")


def _list_folder(root: Path, folder: Path, word: str, left_out: list[LeftOut]) -> list[Recording]:
    recordings = []
    files = walk_folder(folder)
    for path in files.sounds:
        name = path.relative_to(root).as_posix()
        if is_utf8(name):
            stat = path.stat()
            recordings.append(Recording(name, word, stat.st_size, stat.st_mtime_ns))
        else:
            shown = printable(name)
            left_out.append(LeftOut("bad-name", shown, f"{shown}: the name is not UTF-8; rename it"))
    left_out += left_out_files(root, files.others)
    for error in files.errors:
        shown = printable(Path(str(error.filename)).relative_to(root).as_posix())
        left_out.append(LeftOut("unreadable", shown, f"{shown}: cannot be read ({error.strerror})"))
    if not recordings:
        left_out.append(LeftOut("empty-folder", printable(folder.name), "folders with no recordings; fill or remove them"))
    return recordings


def _with_speaker_folders(clips: Sequence[Recording]) -> tuple[Recording, ...]:
    """Treat the folders inside the words' folders as speakers if there are many, so that each stays in one set.

    A few such folders may mean anything (a session, a format), and splitting by them would leave sets empty.
    """
    within = ["/".join(clip.path.split("/")[1:-1]) for clip in clips]
    if len(set(within) - {""}) < MIN_SPEAKER_FOLDERS:
        return tuple(clips)
    return tuple(replace(clip, speaker_folder=folder) for clip, folder in zip(clips, within, strict=True))


def _read_list(path: Path) -> set[str]:
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file; expected a list of recordings, one word/file a line")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from error
    return {unicodedata.normalize("NFC", line.strip().replace("\\", "/")) for line in lines if line.strip()}


def is_utf8(name: str) -> bool:
    """Whether a file's name is UTF-8 on the disk."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    """A file's name as printable text, even if it is not valid UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def hash_name(path: str) -> str:
    """The part of a file's name that is hashed: everything before the first ``_nohash_``, which names the speaker."""
    return re.sub(r"_nohash_.*$", "", path.rsplit("/", 1)[-1])


def recordings_in(
    root: Path, names: Sequence[str], kind: str, left_out: list[LeftOut], *, may_miss: bool = False
) -> dict[str, Recording]:
    """The recordings in the folders `names` of `root`, and in all folders below them, by their paths.

    Args:
        kind: the name of the parameter that names the folders, for messages.
        left_out: unused files are appended to it.
        may_miss: treat a folder that does not exist as empty.

    Raises:
        NotFoundError: no such folder.
        DataError: a folder without recordings.
    """
    found: dict[str, Recording] = {}
    base = root.resolve()
    for name in names:
        folder = root / name
        if not folder.is_dir():
            if may_miss:
                continue
            raise NotFoundError(f"{folder}: no such folder; name the folder of {kind} with `{kind}`{_folders_of(root)}")
        files = walk_folder(folder.resolve())
        unused = list(left_out_files(base, files.others))
        if not files.sounds:
            notes = "".join(f"; {note}" for note in left_out_notes(unused))
            raise DataError(
                f"{folder}: no recordings (WAV, FLAC, Ogg or MP3) among the {kind}; add some or name another folder{notes}"
            )
        left_out += unused
        for path in files.sounds:
            stat = path.stat()
            shown = (path.relative_to(base) if path.is_relative_to(base) else path).as_posix()
            found[shown] = Recording(shown, normalize_word(path.parent.name), stat.st_size, stat.st_mtime_ns)
    return dict(sorted(found.items()))


def _folders_of(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    return f"; the folders here are {some(names, 20)}" if names else ""
