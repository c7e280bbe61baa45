"""What is wrong with a data folder, said before it spoils a training run. Nothing here changes a file, or stops at one.

The rules, each with what it found on 10,052 volunteers' clips of Speech Commands:

- clipped: three samples in a row at 99.9 % of full scale or beyond (0.7 %).
- silent: nothing above -60 dBFS, any constant offset aside (1 clip).
- cut-off: the first or the last 20 ms are within 10 dB of the clip's loudest 20 ms and at least 15 dB above its noise
  floor, the quietest tenth of its 20 ms frames (3.6 %; of clips cut on purpose where they are loudest, it finds 95 %).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wordspot.audio.files import read_audio, read_info
from wordspot.audio.folder import is_audio_name
from wordspot.audio.samples import Samples, to_int16
from wordspot.config import SETS, DataConfig, FeatureConfig
from wordspot.data.folders import NOISE_FOLDER, Listing, Recording
from wordspot.data.split import assign_sets
from wordspot.errors import NotFoundError, WordspotError
from wordspot.formats import some
from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL, normalize_word

SEVERITIES = ("error", "warning", "note")
CLIPPED_LEVEL, CLIPPED_RUN = 0.999, 3
SILENT_DB = -60.0
EDGE_MS = 20
EDGE_BELOW_TOP_DB, EDGE_ABOVE_FLOOR_DB = 10.0, 15.0
RARE_WORD = 0.1
_LENGTH_TOLERANCE_MS = 1.0
_EXPECTED_FILES = ("readme", "licen", "copying", "validation_list.txt", "testing_list.txt")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    severity: ``error`` (spoils the training or its figures), ``warning`` (probably not meant) or ``note``.
    code: what kind it is, a fixed word.
    paths: the files or folders it is about, relative to the data folder.
    """

    severity: str
    code: str
    message: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Examination:
    """What `examine` found: the recordings of each word, their total length, and the findings, worst first."""

    split: str
    words: dict[str, int]
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def has_errors(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)


@dataclass(frozen=True)
class _Clip:
    """What is measured of one recording that decodes."""

    recording: Recording
    sample_rate: int
    n_channels: int
    n_samples: int
    digest: bytes
    clipped: bool
    silent: bool
    cut_off: bool

    @property
    def milliseconds(self) -> float:
        return 1000 * self.n_samples / self.sample_rate


def examine(
    root: Path,
    *,
    split: str | None = None,
    sample_rate: int | None = None,
    clip_ms: float | None = None,
    on_clip: Callable[[int, int], None] | None = None,
) -> Examination:
    """Look at every recording of a data folder.

    Args:
        root: the folder, with one folder per word.
        split: ``hash`` or ``lists``; None takes the lists where both are there.
        sample_rate: what training will resample to, in Hz; None takes the default of `FeatureConfig`.
        clip_ms: the length of a clip in training; None takes the default of `FeatureConfig`.
        on_clip: called with the number of recordings looked at and of all.

    Raises:
        NotFoundError: no such folder.
        ConfigError: a rate or a length that no front end takes.
    """
    if not root.is_dir():
        raise NotFoundError(f"{root}: expected a folder with one folder per word, but there is no such folder")
    rate = FeatureConfig.sample_rate if sample_rate is None else sample_rate
    length = FeatureConfig.clip_ms if clip_ms is None else clip_ms
    FeatureConfig(sample_rate=rate, clip_ms=length, window_ms=length, hop_ms=length, low_hz=0, high_hz=rate / 2)
    has_lists = all((root / f"{name}_list.txt").is_file() for name in ("validation", "testing"))
    split = split or ("lists" if has_lists else "hash")
    findings: list[Finding] = []
    listing = _survey(root, findings)
    clips = _measure_all(listing, findings, on_clip)
    sets = _sets(listing, split, findings)
    findings += _check_words(listing, sets)
    findings += _check_duplicates(clips, sets)
    findings += _check_speakers(listing, sets) if split == "lists" else ()
    findings += _check_sound(clips)
    findings += _check_lengths(clips, length)
    findings += _check_formats(clips, rate)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    words = dict(sorted(Counter(clip.word for clip in listing.clips).items()))
    return Examination(split, words, sum(clip.milliseconds for clip in clips) / 1000, tuple(findings))


def is_clipped(audio: Samples) -> bool:
    """Whether float32 [samples] stays at full scale for `CLIPPED_RUN` samples or more."""
    full = np.abs(audio) >= CLIPPED_LEVEL
    run = full[: max(0, len(full) - CLIPPED_RUN + 1)].copy()
    for shift in range(1, CLIPPED_RUN):
        run &= full[shift : shift + len(run)]
    return bool(run.any())


def is_silent(audio: Samples) -> bool:
    """Whether float32 [samples] never rises above `SILENT_DB`, a constant offset aside."""
    return float(np.abs(audio - audio.mean()).max()) < 10 ** (SILENT_DB / 20)


def is_cut_off(audio: Samples, sample_rate: int) -> bool:
    """Whether float32 [samples] begins or ends in the midst of a word; see the module's docstring."""
    size = sample_rate * EDGE_MS // 1000
    n_frames = len(audio) // size if size else 0
    if n_frames < 3:
        return False
    audio = audio - audio.mean()
    levels = _level_db(audio[: n_frames * size].reshape(n_frames, size))
    needed = max(levels.max() - EDGE_BELOW_TOP_DB, np.percentile(levels, 10) + EDGE_ABOVE_FLOOR_DB)
    return bool(max(levels[0], _level_db(audio[-size:][None])[0]) >= needed)


def _level_db(frames: Samples) -> Samples:
    """float32 [frames, samples] → mean power of each in dB, -120 at the least."""
    return np.asarray(10 * np.log10(np.maximum(np.mean(frames * frames, axis=1), 1e-12)), np.float32)


def _survey(root: Path, findings: list[Finding]) -> Listing:
    """The recordings below `root` as `folders.list_recordings` sees them, but never an error: findings instead."""
    clips: list[Recording] = []
    noise: list[Recording] = []
    labels: dict[str, list[str]] = defaultdict(list)
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            _look_at_stray(path, findings)
        elif path.name == NOISE_FOLDER:
            noise = _list_folder(path, NOISE_FOLDER, findings)
        elif path.name.startswith("_") and path.name not in (SILENCE_LABEL, UNKNOWN_LABEL):
            findings.append(Finding("note", "ignored", f"{path.name}: begins with _, so it is no word", (path.name,)))
        else:
            clips += _list_folder(path, normalize_word(path.name), findings)
            labels[normalize_word(path.name).strip()].append(_shown(path.name))
    for names in labels.values():
        if len(names) > 1:
            text = f"{some([ascii(name) for name in names])} are one word but for case, accents' encoding or spaces"
            findings.append(Finding("warning", "same-label", f"{text}; merge the folders", tuple(names)))
    if not noise:
        text = f"no {NOISE_FOLDER} folder with recordings: nothing to mix in, and silence will be digital silence"
        findings.append(Finding("note", "no-noise", text))
    return Listing(root, tuple(clips), tuple(noise))


def _look_at_stray(path: Path, findings: list[Finding]) -> None:
    if is_audio_name(path.name):
        text = "recordings outside the words' folders are not used; move them into one"
        findings.append(Finding("warning", "stray-recording", text, (_shown(path.name),)))
    elif not path.name.lower().startswith(_EXPECTED_FILES):
        findings.append(Finding("note", "stray", "files outside the words' folders are not used", (_shown(path.name),)))


def _list_folder(folder: Path, word: str, findings: list[Finding]) -> list[Recording]:
    recordings: list[Recording] = []
    try:
        for path in sorted(folder.iterdir()):
            name = f"{folder.name}/{path.name}"
            if path.name.startswith("."):
                continue
            if _shown(name) != name:
                text = f"{_shown(name)}: expected a name in UTF-8; rename it"
                findings.append(Finding("error", "bad-name", text, (_shown(name),)))
            elif is_audio_name(path.name) and path.is_file():
                stat = path.stat()
                recordings.append(Recording(name, word, stat.st_size, stat.st_mtime_ns))
            else:
                text = "neither WAV, FLAC, Ogg nor MP3 by name, or a folder within a word's folder: not used"
                findings.append(Finding("note", "ignored", text, (name,)))
    except OSError as error:
        text = f"{_shown(folder.name)}: cannot be read ({error.strerror})"
        findings.append(Finding("error", "unreadable", text, (_shown(folder.name),)))
    if not recordings:
        text = "folders with no recordings; fill or remove them"
        findings.append(Finding("warning", "empty-folder", text, (_shown(folder.name),)))
    return recordings


def _measure_all(listing: Listing, findings: list[Finding], on_clip: Callable[[int, int], None] | None) -> list[_Clip]:
    """Decode and measure every recording on all cores; the damaged ones become findings."""
    recordings = (*listing.clips, *listing.noise)
    clips: list[_Clip] = []
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        measured = pool.map(lambda recording: _measure(listing.root, recording), recordings)
        for count, (recording, result) in enumerate(zip(recordings, measured, strict=True), 1):
            if isinstance(result, str):
                findings.append(Finding("error", "damaged", result, (recording.path,)))
            elif recording.word != NOISE_FOLDER:
                clips.append(result)
            if on_clip:
                on_clip(count, len(recordings))
    finally:
        pool.shutdown(cancel_futures=True)
    return clips


def _measure(root: Path, recording: Recording) -> _Clip | str:
    """The measures of a recording, or why there are none."""
    path = root / recording.path
    try:
        audio, rate = read_audio(path)
        return _Clip(
            recording,
            sample_rate=rate,
            n_channels=read_info(path, thorough=False).n_channels,
            n_samples=len(audio),
            digest=hashlib.blake2b(to_int16(audio).tobytes(), digest_size=16, salt=rate.to_bytes(4, "big")).digest(),
            clipped=is_clipped(audio),
            silent=is_silent(audio),
            cut_off=is_cut_off(audio, rate),
        )
    except WordspotError as error:
        return str(error).replace(str(path), recording.path)
    except Exception as error:  # whatever one file does, the others are looked at
        return f"{recording.path}: cannot be read ({str(error) or type(error).__name__})"


def _sets(listing: Listing, split: str, findings: list[Finding]) -> dict[str, str]:
    """The set of each clip by its path; empty, and a finding, where the lists cannot be used."""
    if not listing.clips:
        return {}
    try:
        sets = assign_sets(listing, DataConfig(split=split))
    except (WordspotError, OSError, ValueError) as error:
        findings.append(Finding("error", "lists", _shown(str(error))))
        return {}
    return {clip.path: name for clip, name in zip(listing.clips, sets, strict=True)}


def _check_words(listing: Listing, sets: dict[str, str]) -> Iterator[Finding]:
    counts = Counter(clip.word for clip in listing.clips)
    if not counts:
        yield Finding("error", "no-recordings", "expected one folder per word with recordings in it, found none")
        return
    if len(counts) == 1:
        yield Finding("error", "one-word", "training needs a second folder, of any other words", tuple(counts))
    most, largest = counts.most_common(1)[0]
    rare = sorted(word for word, count in counts.items() if count < largest * RARE_WORD)
    text = f"words with less than a tenth of the recordings of {most!r} ({largest}); record more if they are keywords"
    yield from _finding("warning", "imbalance", text, rare)
    for name in SETS if sets else ():
        present = {clip.word for clip in listing.clips if sets[clip.path] == name}
        text = f"words with no recording in the {name} set; as keywords they need more speakers"
        yield from _finding("warning", f"none-in-{name}", text, sorted(counts.keys() - present))


def _check_duplicates(clips: Sequence[_Clip], sets: dict[str, str]) -> Iterator[Finding]:
    groups: dict[bytes, list[Recording]] = defaultdict(list)
    for clip in clips:
        if not clip.silent:
            groups[clip.digest].append(clip.recording)
    for group in groups.values():
        if len(group) < 2:
            continue
        paths = [recording.path for recording in group]
        contradict = len({recording.word for recording in group}) > 1
        if contradict:
            text = f"the same recording under different words: {some(paths)}; keep the right one"
            yield Finding("error", "contradiction", text, tuple(paths))
        if across := len({sets[path] for path in paths if path in sets}) > 1:
            text = f"the same recording in two sets: {some(f'{path} ({sets[path]})' for path in paths)}; keep one"
            yield Finding("error", "duplicate-across-sets", text, tuple(paths))
        if not contradict and not across:
            yield Finding(
                "warning", "duplicate", "the same samples under several names; keep one of each", tuple(paths)
            )


def _check_speakers(listing: Listing, sets: dict[str, str]) -> Iterator[Finding]:
    takes: dict[str, list[str]] = defaultdict(list)
    for clip in listing.clips:
        if clip.speaker is not None and clip.path in sets:
            takes[clip.speaker].append(clip.path)
    for speaker, paths in takes.items():
        names = sorted({sets[path] for path in paths}, key=SETS.index)
        if len(names) > 1:
            text = f"speaker {speaker} is in the sets {' and '.join(names)}; figures on them will flatter the model"
            yield Finding("error", "speaker-across-sets", text, tuple(paths))


def _check_sound(clips: Sequence[_Clip]) -> Iterator[Finding]:
    text = f"{CLIPPED_RUN} or more samples in a row at full scale: recorded too loud"
    yield from _finding("warning", "clipped", text, (clip.recording.path for clip in clips if clip.clipped))
    text = f"nothing above {SILENT_DB:g} dBFS: was the microphone on?"
    yield from _finding("warning", "silent", text, (clip.recording.path for clip in clips if clip.silent))
    text = f"loud in the first or last {EDGE_MS} ms, so probably a word cut off; listen to some"
    yield from _finding("warning", "cut-off", text, (clip.recording.path for clip in clips if clip.cut_off))


def _check_lengths(clips: Sequence[_Clip], clip_ms: float) -> Iterator[Finding]:
    long = [clip.recording.path for clip in clips if clip.milliseconds > clip_ms + _LENGTH_TOLERANCE_MS]
    text = f"longer than {clip_ms:g} ms, so training crops the end; wordspot align keeps the loudest part"
    yield from _finding("warning", "too-long", text, long)
    tiny = [clip.recording.path for clip in clips if clip.milliseconds < clip_ms / 10]
    yield from _finding("warning", "too-short", f"shorter than a tenth of {clip_ms:g} ms: hardly a word", tiny)
    short = [
        clip.recording.path for clip in clips if clip_ms / 10 <= clip.milliseconds < clip_ms - _LENGTH_TOLERANCE_MS
    ]
    yield from _finding("note", "short", f"shorter than {clip_ms:g} ms; training appends digital silence", short)


def _check_formats(clips: Sequence[_Clip], sample_rate: int) -> Iterator[Finding]:
    rates = Counter(clip.sample_rate for clip in clips)
    if len(rates) > 1:
        text = f"sample rates differ: {_tally(rates, 'Hz')}; a model may learn the rate instead of the word"
        usual = rates.most_common(1)[0][0]
        yield Finding(
            "warning", "mixed-rates", text, tuple(clip.recording.path for clip in clips if clip.sample_rate != usual)
        )
    low = [clip.recording.path for clip in clips if clip.sample_rate < sample_rate]
    yield from _finding("warning", "low-rate", f"below {sample_rate} Hz, so the upper frequencies are missing", low)
    high = [clip.recording.path for clip in clips if clip.sample_rate > sample_rate]
    yield from _finding("note", "other-rate", f"above {sample_rate} Hz; they will be resampled", high)
    channels = Counter(clip.n_channels for clip in clips)
    several = [clip.recording.path for clip in clips if clip.n_channels > 1]
    if len(channels) > 1:
        text = f"numbers of channels differ: {_tally(channels, 'channel(s)')}; only the first is used"
        yield Finding("warning", "mixed-channels", text, tuple(several))
    else:
        yield from _finding("note", "channels", "more than one channel; only the first is used", several)


def _finding(severity: str, code: str, message: str, paths: Iterable[str]) -> Iterator[Finding]:
    """One finding about all of `paths`, or none where there are none."""
    if named := tuple(paths):
        yield Finding(severity, code, message, named)


def _tally(counts: Counter[int], unit: str) -> str:
    return ", ".join(f"{count} at {value} {unit}" for value, count in counts.most_common())


def _shown(name: str) -> str:
    """A file's name as text that can be printed, whatever its bytes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
