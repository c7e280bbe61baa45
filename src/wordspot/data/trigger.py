"""Load the recordings of the task `trigger`: positives, negatives and backgrounds, split into sets.

Recordings are split first: each recording, and each segment of a background, belongs to one set.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wordspot.config import SETS, DataConfig, TriggerConfig
from wordspot.data.bank import Bank, TriggerMaterial, make_bank
from wordspot.data.few_recordings import MIN_SPEAKERS, deal_takes
from wordspot.data.folders import LeftOut, Listing, Recording, hash_name, left_out_notes, recordings_in
from wordspot.data.reader import DecodedRecording, Reader
from wordspot.data.split import assign_sets, deal_names, set_shares, split_noise
from wordspot.data.trigger_fallback import make_backgrounds, speak_others
from wordspot.errors import DataError, NotFoundError, install_command
from wordspot.formats import csv_text, some
from wordspot.labels import normalize_word, word_of
from wordspot.progress import OnProgress

_CLIP_S = 1.0  # backgrounds are split as for the task `words`, so that runs of both tasks agree
_LITTLE_S = 10.0


@dataclass(frozen=True)
class TriggerFolders:
    """The recordings of each kind, sorted by path. No recording is of two kinds."""

    positives: tuple[Recording, ...]
    negatives: tuple[Recording, ...]
    backgrounds: tuple[Recording, ...]
    left_out: tuple[LeftOut, ...] = ()


def find_folders(root: Path, config: TriggerConfig) -> TriggerFolders:
    """The recordings in the folders that `config` names and all folders below them.

    Folders whose names begin with ``.`` or ``_`` are skipped unless `config` names them. A positive is not also a negative,
    and a negative is not also a background, so an entire data folder can be named as the negatives of one of its words.
    Folders of negatives and backgrounds may be missing if they have their default names.

    Raises:
        NotFoundError: no such folder.
        DataError: a folder without recordings.
    """
    if not root.is_dir():
        raise NotFoundError(f"{root}: no such folder; expected one with positives, negatives and backgrounds")
    usual = TriggerConfig()
    left_out: list[LeftOut] = []
    positives = recordings_in(root, config.positives, "positives", left_out)
    negatives = recordings_in(root, config.negatives, "negatives", left_out, may_miss=config.negatives == usual.negatives)
    backgrounds = recordings_in(
        root, config.backgrounds, "backgrounds", left_out, may_miss=config.backgrounds == usual.backgrounds
    )
    return TriggerFolders(
        tuple(positives.values()),
        tuple(found for path, found in negatives.items() if path not in positives),
        tuple(found for path, found in backgrounds.items() if path not in positives and path not in negatives),
        tuple(dict.fromkeys(left_out)),
    )


def split_words(root: Path, sources: TriggerFolders, data: DataConfig) -> tuple[list[str], list[str]]:
    """The set of each positive, and of each negative.

    The hash of their names decides, or the folder's lists. If there are so few positives that the hash leaves a set without
    any, the names are dealt in the order of their hashes: at least one to testing, then at least one to validation, and the
    others (at least one) to training. Negatives of the same name (the same speaker) go to the same set. With one or two
    speakers, single recordings are dealt instead.
    """
    clips = (*sources.positives, *sources.negatives)
    sets = assign_sets(Listing(root, clips, ()), data)
    n_positives = len(sources.positives)
    positives, negatives = sets[:n_positives], sets[n_positives:]
    shares = set_shares(data)
    if data.split == "hash" and not {name for name in SETS if shares[name] > 0} <= set(positives):
        names = {hash_name(clip.path) for clip in sources.positives}
        if len(names) < min(MIN_SPEAKERS, n_positives):
            takes = deal_takes((clip.path for clip in sources.positives), data)
            return [takes[clip.path] for clip in sources.positives], negatives
        dealt = deal_names(names, shares)
        positives = [dealt[hash_name(clip.path)] for clip in sources.positives]
        negatives = [dealt.get(hash_name(clip.path), name) for clip, name in zip(sources.negatives, negatives, strict=True)]
    return positives, negatives


@dataclass(frozen=True)
class TriggerData:
    """The recordings of a trigger, by set.

    rows: set, kind, path and SHA-256 of every recording used.
    problems: a line for each skipped recording. warnings: what the user should know before training.
    """

    materials: dict[str, TriggerMaterial]
    rows: tuple[tuple[str, str, str, str], ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    def of(self, name: str) -> TriggerMaterial:
        """The material for scenes of the set `name`."""
        return self.materials[name]

    def has(self, name: str) -> bool:
        """Whether there are positives in the set `name`. Without any, nothing can be measured on it."""
        return len(self.materials[name].positives) > 0

    def describe(self) -> str:
        """A short summary of the training material."""
        material = self.of("training")
        return (
            f"{len(material.positives):,} positives, {len(material.negatives):,} negatives and "
            f"{material.background_seconds / 60:.1f} minutes of backgrounds to train on"
        )

    def listing_text(self) -> str:
        """The contents of ``data.csv``: set, label (the kind), path and SHA-256 of every recording used."""
        return csv_text([("set", "label", "path", "sha256"), *self.rows])


def load_trigger_data(
    root: Path,
    config: TriggerConfig,
    data: DataConfig,
    sample_rate: int,
    progress: OnProgress | None = None,
    *,
    scene_ms: float = 10_000.0,
    only: Sequence[str] = SETS,
    word: str | None = None,
) -> TriggerData:
    """Find, decode and split the recordings of the task trigger.

    Recordings may have any rate and number of channels; they are converted to mono at `sample_rate`. For soundscapes they are
    trimmed to their word (`audio.speech.find_word`); the classic scenes use entire recordings. Recordings that are damaged,
    silent, too short for a word, or longer than a scene of `scene_ms` are skipped, each with a line in `problems`. If the
    default folders of negatives or backgrounds are missing, synthetic speech and noise replace them, with a warning.

    Args:
        progress: called after each recording.
        only: the sets whose negatives are wanted; loading is much faster without those of training.
        word: name of the word (default: that of its folder). Negatives of that name are skipped, with a warning.

    Raises:
        NotFoundError, DataError: a named folder is missing or empty, or no positive can be used.
    """
    found, word = find_folders(root, config), word or word_of(config, None)
    problems: list[str] = []
    warnings = left_out_notes(found.left_out)
    rows: list[tuple[str, str, str, str]] = []
    reader = Reader(root, config.scenes == "soundscape", sample_rate, scene_ms)
    n_positives, n_negatives, n_backgrounds = map(len, (found.positives, found.negatives, found.backgrounds))
    total = n_positives + n_negatives + n_backgrounds
    positives = reader.decode_all(found.positives, "positive", problems, progress, total=total)
    if not positives:
        raise DataError(f"{root}: none of its {len(found.positives)} positives can be used; {problems[0]}")
    others = tuple(one for one in found.negatives if normalize_word(one.word) != normalize_word(word))
    if n_same := len(found.negatives) - len(others):
        warnings.append(f"{n_same} negatives are skipped, since their folder has the name of the word {word} itself")
        found = dataclasses.replace(found, negatives=others)
    if found.negatives:
        sets = split_words(root, _recordings(positives, found.negatives), data)[1]
        wanted = [one for one, name in zip(found.negatives, sets, strict=True) if name in only]
        negatives = reader.decode_all(
            wanted, "negative", problems, progress, before=n_positives, total=n_positives + len(wanted) + n_backgrounds
        )
    else:
        negatives = _speak(word, reader, warnings)
    before = total - n_backgrounds
    backgrounds = reader.decode_all(found.backgrounds, "background", problems, progress, before=before, total=total)
    banks = _split_words(root, positives, negatives, data, rows)
    banks["background"] = _split_backgrounds(backgrounds, data, sample_rate, rows, warnings)
    materials = {
        name: TriggerMaterial(sample_rate, *(banks[kind][name] for kind in ("positive", "negative", "background")))
        for name in SETS
    }
    warnings += [*_warn_of_speakers(rows), *_warn(materials, data)]
    return TriggerData(materials, tuple(sorted(rows)), tuple(problems), tuple(warnings))


def _split_words(
    root: Path,
    positives: list[DecodedRecording],
    negatives: list[DecodedRecording],
    data: DataConfig,
    rows: list[tuple[str, str, str, str]],
) -> dict[str, dict[str, Bank]]:
    """The positives and negatives of each set; the set of each recording is added to `rows`."""
    banks: dict[str, dict[str, Bank]] = {}
    sets = split_words(root, _recordings(positives, [one.recording for one in negatives]), data)
    for kind, decoded, names in zip(("positive", "negative"), (positives, negatives), sets, strict=True):
        parts: dict[str, list[DecodedRecording]] = {name: [] for name in SETS}
        for one, name in zip(decoded, names, strict=True):
            parts[name].append(one)
            rows.append((name, kind, one.recording.path, one.sha256))
        banks[kind] = {name: make_bank(part) for name, part in parts.items()}
    return banks


def _recordings(positives: Sequence[DecodedRecording], negatives: Sequence[Recording]) -> TriggerFolders:
    return TriggerFolders(tuple(one.recording for one in positives), tuple(negatives), ())


def _split_backgrounds(
    decoded: list[DecodedRecording],
    data: DataConfig,
    sample_rate: int,
    rows: list[tuple[str, str, str, str]],
    warnings: list[str],
) -> dict[str, Bank]:
    """The background segments of each set, by `split.split_noise`; synthetic noise if there are none."""
    if not decoded:
        warnings.append(
            "there are no backgrounds: synthetic noise is used instead. Expect many more false accepts in real rooms; record "
            "some minutes where the model will be used and name their folder with `backgrounds`"
        )
        made = make_backgrounds(sample_rate)
        return {
            name: make_bank([DecodedRecording(Recording("(made noise)", "", 0, 0), made[name], (0, len(made[name])), "")])
            for name in SETS
        }
    recordings, lengths = [one.recording for one in decoded], [len(one.samples) for one in decoded]
    stretches = split_noise(recordings, lengths, data, int(_CLIP_S * sample_rate))
    banks = {}
    for name in SETS:
        parts = []
        for position, start, stop in stretches[name]:
            one = decoded[position]
            parts.append(DecodedRecording(one.recording, one.samples[start:stop], (0, stop - start), one.sha256))
            rows.append((name, "background", one.recording.path, one.sha256))
        banks[name] = make_bank(parts)
    return banks


def _speak(word: str, reader: Reader, warnings: list[str]) -> list[DecodedRecording]:
    """Other words by synthetic voices (or none, if no voices are installed), with a warning about the consequences."""
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="wordspot-") as name:
        recordings = speak_others(Path(name) / "(voices)", word, reader.sample_rate)
        spoken = Reader(Path(name), reader.cut, reader.sample_rate, reader.scene_ms)
        negatives = spoken.decode_all(recordings, "negative", problems)
    if negatives:
        warnings.append(
            "there are no negatives: other words by synthetic voices are used instead, which sound unlike people. Expect more "
            "false accepts; record other words, or name a folder of any with `negatives`"
        )
    else:
        warnings.append(
            "there are no negatives, only parts of the positives: the model will confuse many other words with it; "
            f"name a folder of other words with `negatives`, or install synthetic voices: {install_command('voices')}"
        )
    return negatives


def _warn_of_speakers(rows: Sequence[tuple[str, str, str, str]]) -> list[str]:
    sets: dict[str, set[str]] = {}
    for name, kind, path, _ in rows:
        if kind == "positive" and "_nohash_" in path:
            sets.setdefault(hash_name(path), set()).add(name)
    both = sorted(speaker for speaker, names in sets.items() if len(names) > 1)
    if not both:
        return []
    return [
        f"recordings of the same speaker ({some(both)}) are for training and for measuring: results are too optimistic for others"
    ]


def _warn(materials: dict[str, TriggerMaterial], data: DataConfig) -> list[str]:
    warnings = []
    shares = {"validation": data.validation_percent, "testing": data.testing_percent}
    used = [name for name in SETS if shares.get(name, 100) > 0]
    without = [name for name in used if not len(materials[name].positives)]
    if without:
        what = {"validation": "no threshold can be chosen", "testing": "nothing can be measured"}
        lacking = "; ".join(f"the {name} set holds no positives: {what.get(name, 'nothing can be learned')}" for name in without)
        warnings.append(f"{lacking}; record at least 3 recordings of the word; 100 or more work much better")
    for name in used:
        seconds = materials[name].background_seconds
        if seconds < _LITTLE_S:
            warnings.append(f"the {name} set holds only {seconds:.1f} s of background, which is repeated; add more")
    return warnings
