"""Export weights of the stage `words` as an ONNX file, through a run's folder as `wordspot train` writes it.

Scenes hold far more unknown speech than a set of clips does, so a network trained on them takes too many clips for unknown.
`--unknown-bias` is added to that label's bias; `unknown_bias.py` prints what it does on validation clips.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import wordspot as ws
from cache import UNKNOWN, WORDS, arguments
from train import TrainConfig, model_weights
from wordspot.data.cache import decode_folder
from wordspot.data.clips import build_sets
from wordspot.data.folders import list_recordings
from wordspot.labels import labels_of
from wordspot.runtime.modelfile.card import read_card, with_card
from wordspot.training.checkpoint import Checkpoint, save_checkpoint
from wordspot.training.log import listing_text
from wordspot.training.recipes import make_config
from wordspot.training.run_folder import RunFolder

#: A window of 1.5 s keeps a word for a second, so a second detection of it must wait.
REFRACTORY_MS = 1500.0
ABOUT_DATA = {
    "name": "Speech Commands, LibriSpeech dev-clean, Arabic Speech Commands, ESC-10 and other noises, measured rooms; "
    "soft labels by Whisper base",
    "licence": "CC BY 4.0, CC BY 3.0, CC0, ODbL, Apache-2.0, MIT",
    "attribution": "Warden 2018 (arXiv 1804.03209) and contributors; Panayotov et al. 2015; Ghandoura et al. 2021; Piczak 2015; "
    "donateacry-corpus; GoogleChromeLabs; OpenAI (Whisper)",
}


def make_run(data: Path, weights: Path, run: Path, unknown_bias: float) -> None:
    """Write the run's folder: settings, one checkpoint and the list of recordings."""
    trained = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    config = TrainConfig(**trained)
    clip_ms = 10.0 * config.n_window_frames + 20.0
    settings = {"features.clip_ms": clip_ms, "model.dilations": config.dilations}
    settings |= {"model.n_channels": config.n_channels, "model.expansion": config.expansion, "model.n_local": config.n_local}
    run_config = make_config(data, list(WORDS), task="words", settings=settings)
    model = config.make_model()
    model.load_state_dict(model_weights(weights), strict=False)  # all but the number of batches of the norms
    model.output.bias.data[UNKNOWN] += unknown_bias
    folder = RunFolder(run)
    folder.checkpoints.mkdir(parents=True)
    folder.write_config(run_config)
    save_checkpoint(folder.checkpoint_path(1), Checkpoint(run_config, 1, 1, 0.0, dict(model.state_dict()), {}))
    decoded = decode_folder(list_recordings(data), run_config.features.sample_rate, run_config.features.clip_samples)
    sets = build_sets(decoded.listing, list(WORDS), run_config.data)
    (run / "data.csv").write_text(listing_text(decoded, sets, labels_of(list(WORDS))), encoding="utf-8")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--unknown-bias", type=float, default=-1.5, help="added to the bias of unknown (default: -1.5)")
    args = parser.parse_args()
    run = args.cache / f"run_{args.weights.stem}"
    make_run(args.data / "speech_commands", args.weights, run, args.unknown_bias)
    ws.load_run(run).export(args.out, about_data=ABOUT_DATA)
    content = args.out.read_bytes()
    card = read_card(content, args.out)
    decoder = dataclasses.replace(card.decoder, refractory_ms=REFRACTORY_MS)
    args.out.write_bytes(with_card(content, dataclasses.replace(card, decoder=decoder)))
    print(ws.verify(args.out).to_json())


if __name__ == "__main__":
    main()
