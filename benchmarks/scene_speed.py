"""How fast scenes of the task trigger are made, as a multiple of real time on one core.

    python benchmarks/scene_speed.py DIR --positives wake_words/athena --negatives speech_commands \
        --backgrounds environment,speech_commands/_background_noise_
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

from results import write_result
from wordspot.commands.options import add_trigger_flags, trigger_config
from wordspot.config import DataConfig, TriggerConfig
from wordspot.data.scenes.trigger import scene_at
from wordspot.data.trigger import load_trigger_data
from wordspot.labels import word_of

SECONDS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--scenes", type=int, default=100, help="of ten seconds each (default: 100)")
    add_trigger_flags(parser)
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    rows = []
    for kind, rate in (("soundscape", 16_000), ("classic", 44_100)):
        config = dataclasses.replace(trigger_config(args, TriggerConfig()), scenes=kind)
        begun = time.perf_counter()
        sources = load_trigger_data(args.folder, config, DataConfig(), rate)
        print(f"{kind}, {rate} Hz: {sources.describe()}, read in {time.perf_counter() - begun:.1f} s")
        material, word = sources.of("training"), word_of(config, None)
        scene_at(material, SECONDS * rate, (0,), config, word)
        begun = time.process_time()
        for number in range(args.scenes):
            scene_at(material, SECONDS * rate, (1, number), config, word)
        seconds = (time.process_time() - begun) / args.scenes
        rows.append({"kind": kind, "sample_rate": rate, "ms_per_scene": 1000 * seconds, "times_real_time": SECONDS / seconds})
        print(f"  {1000 * seconds:.1f} ms a scene of {SECONDS} s: {SECONDS / seconds:.0f} times real time per core")
    if args.json:
        write_result(args.json, rows)


if __name__ == "__main__":
    main()
