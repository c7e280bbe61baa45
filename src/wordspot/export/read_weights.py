"""The weights of an exported file, as a checkpoint that training can start from.

An exported file names no weights, and its batch norms are folded into the layers before them. But its operators stand in the
order in which the network runs its layers, so the last convolutions and matrix products of the graph are the layers of the
network. A folded norm becomes one that changes nothing except for adding the bias; training measures its statistics first,
see `weights.measure_norms`. The self-test in the file's card proves the result: torch must give its scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wordspot.errors import CheckpointError
from wordspot.export.parity import torch_scores
from wordspot.features import make_front_end
from wordspot.models import make_model
from wordspot.overrides import from_json
from wordspot.runtime.modelfile.card import Card, read_card
from wordspot.runtime.modelfile.graph import Node, walk
from wordspot.runtime.modelfile.graph import Tensor as Constant
from wordspot.runtime.modelfile.self_test import difference, self_test_audio, self_test_rows
from wordspot.tasks import labels_of_run
from wordspot.training.checkpoint import Checkpoint

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_OPERATORS = ("Conv", "Gemm", "MatMul")
Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Layer:
    """A layer of the network, and the norm that follows it."""

    module: Any
    norm: Any = None


def checkpoint_of_file(name: str, data: bytes) -> Checkpoint:
    """The weights of an exported file.

    Args:
        name: of the file, for messages.
        data: its content.

    Raises:
        CardError: wordspot did not write it.
        CheckpointError: its weights are in 8 bits, or its network has layers other than convolutions, linear layers and
            batch norms after them.
    """
    card = read_card(data, name)
    if card.quantization == "int8":
        raise CheckpointError(
            f"{name}: its weights are in 8 bits, too coarse to train on or to round again; name the run that it was exported "
            "from (of a wake word by `wordspot new`: the folder run beside it)"
        )
    config = from_json(card.config)
    features = config.features
    network = make_model(config.model, features.n_frames, features.n_features, len(labels_of_run(config))).eval()
    front_end = make_front_end(features)
    try:
        _put_weights(network, features.n_frames, features.n_features, data)
        scores = self_test_rows(card, torch_scores(network, front_end, card, self_test_audio(card)))
    except (ValueError, RuntimeError) as error:
        raise _unsupported(name, card, " ".join(str(error).split())) from error
    apart = difference(scores, np.exp(np.array(card.self_test.log_posteriors)))
    if apart > card.self_test.tolerance:
        raise _unsupported(name, card, f"scores differ by {apart:.2g}")
    return Checkpoint(config, 0, 0, -math.inf, network.state_dict(), {}, folded=True)


def _unsupported(name: str, card: Card, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{name}: the weights of its network {card.config['model']['name']} cannot be read back from the file ({reason}); "
        "name the run that it was exported from"
    )


def _put_weights(network: nn.Module, n_frames: int, n_features: int, data: bytes) -> None:
    """Raises ValueError if the network's layers are not those of the file."""
    layers = _layers_of(network, torch.zeros(1, n_frames, n_features))
    weights = _weights_of(data)
    if len(weights) < len(layers):
        raise ValueError(f"{len(weights)} layers in the file, {len(layers)} in the network")
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, weights[-len(layers) :], strict=True):
            _put(layer, torch.from_numpy(weight), None if bias is None else torch.from_numpy(bias))


def _put(layer: _Layer, weight: Tensor, bias: Tensor | None) -> None:
    module, norm = layer.module, layer.norm
    own = module.weight
    if [size for size in own.shape if size != 1] != [size for size in weight.shape if size != 1]:
        raise ValueError(f"a layer of shape {list(weight.shape)}, expected {list(own.shape)}")
    own.copy_(weight.reshape(own.shape))
    if norm is not None:
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.fill_(1)
        norm.bias.zero_()
    target = module.bias if module.bias is not None else None if norm is None else norm.bias
    if target is not None:
        target.zero_()
    if bias is not None:
        if target is None:
            raise ValueError("a layer has a bias that the network's has not")
        target.copy_(bias.reshape(target.shape))


def _layers_of(network: nn.Module, features: Tensor) -> list[_Layer]:
    """The layers in the order in which they run."""
    ran: list[nn.Module] = []
    known = [module for module in network.modules() if isinstance(module, _LAYERS) or type(module) in _NORMS]
    hooks = [module.register_forward_hook(lambda module, _in, _out: ran.append(module)) for module in known]
    with torch.no_grad():
        network(features)
    for hook in hooks:
        hook.remove()
    held = sum(parameter.numel() for module in ran for parameter in module.parameters(recurse=False))
    if len(set(ran)) != len(ran) or held != sum(parameter.numel() for parameter in network.parameters()):
        raise ValueError("it has layers of other kinds")
    layers = []
    for module, after in zip(ran, [*ran[1:], None], strict=True):
        if isinstance(module, _LAYERS):
            layers.append(_Layer(module, after if type(after) in _NORMS else None))
    return layers


def _weights_of(data: bytes) -> list[tuple[Array, Array | None]]:
    """Weight and bias of each operator that has constant ones, as torch stores them."""
    walked = walk(data)
    constants = {constant.name: constant for constant in walked.initializers if constant.element_type == "float32"}
    adds = {name: node for node in walked.nodes if node.op_type == "Add" for name in node.inputs}
    found = []
    for node in walked.nodes:
        if node.op_type in _OPERATORS and len(node.inputs) > 1 and node.inputs[1] in constants:
            weight = _array(constants[node.inputs[1]])
            if node.op_type == "MatMul" or (node.op_type == "Gemm" and not node.attributes.get("transB", 0)):
                weight = np.ascontiguousarray(weight.T)
            found.append((weight, _bias_of(node, adds, constants)))
    return found


def _bias_of(node: Node, adds: dict[str, Node], constants: dict[str, Constant]) -> Array | None:
    names = node.inputs[2:3]
    if node.op_type == "MatMul" and node.outputs[0] in adds:
        names = tuple(name for name in adds[node.outputs[0]].inputs if name in constants)
    return _array(constants[names[0]]) if names and names[0] in constants else None


def _array(constant: Constant) -> Array:
    return np.frombuffer(constant.data, "<f4").reshape(constant.shape).astype(np.float32)
