"""Check a data folder with one folder per word for faults that would spoil a training run. Files are never changed."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wordspot.audio.files import read_audio, read_info
from wordspot.audio.samples import to_int16
from wordspot.audio.speech import is_loud_part_cut
from wordspot.config import SETS, DataConfig, FeatureConfig
from wordspot.data.checks.findings import (
    CLIPPED_RUN,
    EDGE_MS,
    RARE_WORD,
    SEVERITIES,
    SILENT_DB,
    Examination,
    Finding,
    finding_about,
    is_clipped,
    is_cut_off,
    is_too_quiet,
    one_of_each_set_first,
    tally,
)
from wordspot.data.decode import Problem, decode_many
from wordspot.data.few_recordings import Split, split_recordings
from wordspot.data.folders import NOISE_FOLDER, Listing, Recording, printable, survey_folder
from wordspot.data.split import unused_lists
from wordspot.errors import WordspotError
from wordspot.formats import some
from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL, normalize_word
from wordspot.progress import OnProgress

_LENGTH_TOLERANCE_MS = 1.0
MOST_LOST = 0.1  # fraction of the recordings; if more lose their loud part, training is not worth starting


@dataclass(frozen=True)
class _Measured:
    """The measures of one recording that could be decoded."""

    recording: Recording
    sample_rate: int
    n_channels: int
    n_samples: int
    digest: bytes
    clipped: bool
    silent: bool
    cut_off: bool
    loud_part_cut: bool
    notes: tuple[str, ...]

    @property
    def milliseconds(self) -> float:
        return 1000 * self.n_samples / self.sample_rate


def examine_words(
    root: Path,
    *,
    split: str | None = None,
    sample_rate: int | None = None,
    clip_ms: float | None = None,
    progress: OnProgress | None = None,
) -> Examination:
    """Check every recording of a data folder.

    Args:
        root: the folder, with one folder per word.
        split: ``hash`` or ``lists``; None: as training splits by default.
        sample_rate: the rate that training resamples to, in Hz; None uses the default of `FeatureConfig`.
        clip_ms: the length of a clip in training; None uses the default of `FeatureConfig`.
        progress: called after each recording.

    Raises:
        NotFoundError: no such folder.
        ConfigError: an impossible rate or length.
    """
    rate = FeatureConfig.sample_rate if sample_rate is None else sample_rate
    length = FeatureConfig.clip_ms if clip_ms is None else clip_ms
    FeatureConfig(sample_rate=rate, clip_ms=length, window_ms=length, hop_ms=length, low_hz=0, high_hz=rate / 2)
    split = split or DataConfig.split
    listing = survey_folder(root)
    findings = list(_check_folders(root, listing))
    if unused := unused_lists(root, split):
        findings.append(Finding("note", "unused-lists", unused))
    clips = _measure_all(listing, findings, progress, length)
    dealt = _split(listing, split, findings)
    sets = {clip.path: name for clip, name in zip(listing.clips, dealt.sets, strict=True)} if dealt.sets else {}
    findings += _check_words(listing, sets)
    findings += _check_duplicates(clips, sets)
    findings += _check_speakers(listing, sets) if split == "lists" else ()
    findings += _check_sound(clips)
    findings += _check_lengths(clips, length)
    findings += _check_formats(clips, rate)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    words = dict(sorted(Counter(clip.word for clip in listing.clips).items()))
    return Examination(split, words, sum(clip.milliseconds for clip in clips) / 1000, tuple(findings))


#: How bad each reason not to use a file is.
_SEVERITY = {
    "bad-name": "error",
    "unreadable": "error",
    "unreadable-kind": "warning",
    "stray-recording": "warning",
    "empty-folder": "warning",
    "stray": "note",
    "ignored": "note",
}


def _check_folders(root: Path, listing: Listing) -> Iterator[Finding]:
    for one in listing.left_out:
        yield Finding(_SEVERITY[one.code], one.code, one.reason, (one.path,))
    labels: dict[str, list[str]] = defaultdict(list)
    for path in sorted(root.iterdir()):
        if path.is_dir() and (not path.name.startswith((".", "_")) or path.name in (SILENCE_LABEL, UNKNOWN_LABEL)):
            labels[normalize_word(path.name).strip()].append(printable(path.name))
    for names in labels.values():
        if len(names) > 1:
            text = f"{some([ascii(name) for name in names])} are one word except for case, accents' encoding or spaces"
            yield Finding("warning", "same-label", f"{text}; merge the folders", tuple(names))
    if not listing.noise:
        text = f"no {NOISE_FOLDER} folder with recordings: nothing to mix in, and silence will be digital silence"
        yield Finding("note", "no-noise", text)


def _measure_all(listing: Listing, findings: list[Finding], progress: OnProgress | None, clip_ms: float) -> list[_Measured]:
    """Decode and measure every recording on all cores; the damaged ones become findings."""
    clips: list[_Measured] = []
    recordings = (*listing.clips, *listing.noise)
    measure = partial(_measure, listing.root, clip_ms)
    for recording, result in decode_many(recordings, measure, progress, stage="checking recordings"):
        if isinstance(result, Problem):
            findings.append(Finding("error", "damaged", result.text, (recording.path,)))
        elif recording.word != NOISE_FOLDER:
            clips.append(result)
    return clips


def _measure(root: Path, clip_ms: float, recording: Recording) -> _Measured | Problem:
    """The measures of a recording, or why there are none."""
    path = root / recording.path
    try:
        notes: list[str] = []
        audio, rate = read_audio(path, on_note=notes.append)
        return _Measured(
            recording,
            sample_rate=rate,
            n_channels=read_info(path, thorough=False).n_channels,
            n_samples=len(audio),
            digest=hashlib.blake2b(to_int16(audio).tobytes(), digest_size=16, salt=rate.to_bytes(4, "big")).digest(),
            clipped=is_clipped(audio),
            silent=is_too_quiet(audio),
            cut_off=is_cut_off(audio, rate),
            loud_part_cut=is_loud_part_cut(audio, int(rate * clip_ms / 1000)),
            notes=tuple(note.replace(str(path), recording.path) for note in notes),
        )
    except WordspotError as error:
        return Problem(str(error).replace(str(path), recording.path))
    except Exception as error:  # one bad file must not stop the check of the others
        return Problem(f"{recording.path}: cannot be read ({str(error) or type(error).__name__})")


def _split(listing: Listing, split: str, findings: list[Finding]) -> Split:
    """The set of each clip; empty, with a finding, if the lists cannot be used."""
    if not listing.clips:
        return Split(())
    try:
        dealt = split_recordings(listing, DataConfig(split=split))
    except (WordspotError, OSError, ValueError) as error:
        findings.append(Finding("error", "lists", printable(str(error))))
        return Split(())
    findings += _check_who_speaks(listing, dealt)
    return dealt


def _check_who_speaks(listing: Listing, dealt: Split) -> Iterator[Finding]:
    """Whether results can be about other speakers than those of training."""
    speakers: dict[str, set[str]] = defaultdict(set)
    for clip in listing.clips:
        speakers[clip.word].add(clip.speaker or "")
    alone = sorted(word for word, names in speakers.items() if len(names) == 1 and "" not in names)
    everyone = set().union(*speakers.values())
    if len(everyone) == 1 and "" not in everyone:
        text = f"all recordings are by one speaker ({next(iter(everyone))})"
        yield Finding("warning", "one-speaker", f"{text}: record more people, or expect a model for this voice", tuple(alone))
    else:
        text = "words with recordings by one speaker only; results will not be about other speakers"
        yield from finding_about("warning", "one-speaker", text, alone)
    if dealt.note:
        yield Finding("warning", "few-recordings", dealt.note)


def _check_words(listing: Listing, sets: dict[str, str]) -> Iterator[Finding]:
    counts = Counter(clip.word for clip in listing.clips)
    if not counts:
        yield Finding("error", "no-recordings", "no recordings found; expected one folder per word with recordings in it")
        return
    if len(counts) == 1:
        yield Finding("error", "one-word", "training needs a second folder, of any other words", tuple(counts))
    most, largest = counts.most_common(1)[0]
    rare = sorted(word for word, count in counts.items() if count < largest * RARE_WORD)
    text = f"words with less than a tenth as many recordings as {most!r} ({largest}); record more if they are keywords"
    yield from finding_about("warning", "imbalance", text, rare)
    for name in SETS if sets else ():
        present = {clip.word for clip in listing.clips if sets[clip.path] == name}
        text = f"words with no recording in the {name} set; as keywords they need more speakers"
        yield from finding_about("warning", f"none-in-{name}", text, sorted(counts.keys() - present))


def _check_duplicates(clips: Sequence[_Measured], sets: dict[str, str]) -> Iterator[Finding]:
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
            named = [f"{path} ({sets[path]})" for path in one_of_each_set_first(paths, sets)]
            text = f"the same recording in two sets: {some(named)}; keep one"
            yield Finding("error", "duplicate-across-sets", text, tuple(paths))
        if not contradict and not across:
            yield Finding("warning", "duplicate", "the same samples under several names; keep one of each", tuple(paths))


def _check_speakers(listing: Listing, sets: dict[str, str]) -> Iterator[Finding]:
    of_speakers: dict[str, list[str]] = defaultdict(list)
    for clip in listing.clips:
        if clip.speaker is not None and clip.path in sets:
            of_speakers[clip.speaker].append(clip.path)
    for speaker, paths in of_speakers.items():
        names = sorted({sets[path] for path in paths}, key=SETS.index)
        if len(names) > 1:
            text = f"speaker {speaker} is in the sets {' and '.join(names)}; results on them will be too optimistic"
            yield Finding("error", "speaker-across-sets", text, tuple(paths))


def _check_sound(clips: Sequence[_Measured]) -> Iterator[Finding]:
    odd = [clip for clip in clips if clip.notes]
    if odd:
        yield Finding("note", "odd-input", odd[0].notes[0], tuple(clip.recording.path for clip in odd))
    text = f"{CLIPPED_RUN} or more samples in a row at full scale: recorded too loud"
    yield from finding_about("warning", "clipped", text, (clip.recording.path for clip in clips if clip.clipped))
    text = f"nothing above {SILENT_DB:g} dBFS: was the microphone on?"
    yield from finding_about("warning", "silent", text, (clip.recording.path for clip in clips if clip.silent))
    text = f"loud in the first or last {EDGE_MS} ms, so probably a word cut off; listen to some"
    yield from finding_about("warning", "cut-off", text, (clip.recording.path for clip in clips if clip.cut_off))


def _check_lengths(clips: Sequence[_Measured], clip_ms: float) -> Iterator[Finding]:
    long = [clip.recording.path for clip in clips if clip.milliseconds > clip_ms + _LENGTH_TOLERANCE_MS]
    text = f"longer than {clip_ms:g} ms, so training crops the end; `wordspot align` keeps the loudest part"
    yield from finding_about("warning", "too-long", text, long)
    lost = [clip.recording.path for clip in clips if clip.loud_part_cut]
    text = f"the loudest part lies beyond the first {clip_ms:g} ms, so training would not contain it; `wordspot align` keeps it"
    yield from finding_about("error" if len(lost) > MOST_LOST * len(clips) else "warning", "loud-part-cut", text, lost)
    tiny = [clip.recording.path for clip in clips if clip.milliseconds < clip_ms / 10]
    yield from finding_about("warning", "too-short", f"shorter than a tenth of {clip_ms:g} ms: hardly a word", tiny)
    short = [clip.recording.path for clip in clips if clip_ms / 10 <= clip.milliseconds < clip_ms - _LENGTH_TOLERANCE_MS]
    yield from finding_about("note", "short", f"shorter than {clip_ms:g} ms; training appends digital silence", short)


def _check_formats(clips: Sequence[_Measured], sample_rate: int) -> Iterator[Finding]:
    rates = Counter(clip.sample_rate for clip in clips)
    if len(rates) > 1:
        text = f"sample rates differ: {tally(rates, 'Hz')}; a model may learn the rate instead of the word"
        usual = rates.most_common(1)[0][0]
        yield Finding("warning", "mixed-rates", text, tuple(clip.recording.path for clip in clips if clip.sample_rate != usual))
    low = [clip.recording.path for clip in clips if clip.sample_rate < sample_rate]
    yield from finding_about("warning", "low-rate", f"below {sample_rate} Hz, so the upper frequencies are missing", low)
    high = [clip.recording.path for clip in clips if clip.sample_rate > sample_rate]
    yield from finding_about("note", "other-rate", f"above {sample_rate} Hz; they will be resampled", high)
    channels = Counter(clip.n_channels for clip in clips)
    several = [clip.recording.path for clip in clips if clip.n_channels > 1]
    if len(channels) > 1:
        text = f"numbers of channels differ: {tally(channels, 'channel(s)')}; only the first is used"
        yield Finding("warning", "mixed-channels", text, tuple(several))
    else:
        yield from finding_about("note", "channels", "more than one channel; only the first is used", several)
