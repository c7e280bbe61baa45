"""Export the body and head of `train.py phones` as a model file whose words are the sounds of English, with weights in 8 bits.

    python dev/hearing/export_sounds.py CACHE/phones.safetensors src/wordspot/wakeword/splicing/sounds.onnx --data DATA \
        --cache CACHE

Its window is a frame longer than what the network sees, since a mean over a single frame would leave a stream nothing to
remember: a row is what two frames say, the sound a quarter of a second ago.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from cache import arguments, read_clips, read_sentences
from export_weights import ABOUT_DATA
from fast_body import context_of
from phones import inventory, pronounce
from train import TrainConfig, model_weights
from wordspot.config import FeatureConfig, RunConfig
from wordspot.export.run import export_network
from wordspot.models.residual import Residual1d
from wordspot.training.recipes import make_config

_NEVER = -30.0  # the logit of "unknown", which the network does not know


def make_network(weights: Path, names: list[str], data: Path) -> tuple[Residual1d, RunConfig]:
    """The trained body, with the head of the sounds as its last layer."""
    trained = TrainConfig(**json.loads(weights.with_suffix(".json").read_text(encoding="utf-8")))
    n_frames = context_of(trained.make_model()) + 2
    settings = {"features.clip_ms": 10.0 * n_frames + 20.0, "model.dilations": trained.dilations}
    settings |= {"model.n_channels": trained.n_channels, "model.expansion": trained.expansion, "model.n_local": trained.n_local}
    config = make_config(data / "speech_commands", names[1:], task="words", settings=settings)
    shape = (trained.n_channels, trained.expansion, trained.dilations, 0.0, trained.n_local)
    model = Residual1d(n_frames, FeatureConfig().n_features, len(names) + 1, *shape)
    body = {name: one for name, one in model_weights(weights).items() if not name.startswith("output.")}
    model.load_state_dict(body, strict=False)
    heads = load_file(weights)
    weight, bias = heads["phones.weight"], heads["phones.bias"]
    with torch.no_grad():
        model.output.weight.copy_(torch.cat([weight[:1], torch.zeros_like(weight[:1]), weight[1:]])[:, :, None])
        model.output.bias.copy_(torch.cat([bias[:1], torch.tensor([_NEVER]), bias[1:]]))
    return model.eval(), config


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    words = {word for one in read_sentences(args.cache) for word, _, _ in one.words}
    words |= {clip.word for clip in read_clips(args.cache, "clips")}
    model, config = make_network(args.weights, inventory(pronounce(sorted(words)).values()), args.data)
    exported = export_network(model, config, int8=True, data=ABOUT_DATA)
    assert exported.int8
    args.out.write_bytes(exported.int8)
    print(f"{args.out}: {len(exported.int8):,} bytes, {exported.difference:.1e} from torch before the weights were rounded")


if __name__ == "__main__":
    main()
