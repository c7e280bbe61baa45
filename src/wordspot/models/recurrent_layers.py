"""Recurrent layers: torch's GRU and LSTM that stream, skip frames, run fast on a CPU and export for any length."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wordspot.models import cpu_kernels


class Gru(nn.GRU):
    """One gated recurrent layer over time, the first axis: ``step`` begins from a given state.

    It is exported as ONNX's own operator, since torch's translation works only for the traced length.

    Frames that must not change the state are one more input of the update gate, so large that the gate keeps the entire
    state. The sequence stays one call, which a condition for each frame would not allow.
    """

    _HOLD, _HOLD_WEIGHT = 1e11, 0.01  # a weight of usual size, for quantization to 8 bits

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, n_in: int, n_units: int) -> None:
        super().__init__(n_in, n_units)

    def initial_state(self, batch: int) -> Tensor:
        """Zeros: [batch, n_units]."""
        return self.weight_hh_l0.new_zeros(batch, self.hidden_size)

    def step(self, x: Tensor, state: Tensor, hold: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x: [k, batch, features], state: [batch, n_units] → [k, batch, n_units], state.

        Args:
            hold: [k, batch, 1], 1 at frames that leave the state unchanged, else 0.
        """
        if hold is not None:
            x = torch.cat([x, hold * self._HOLD], dim=2)
        if torch.onnx.is_in_onnx_export():
            return self._in_onnx(x, state, self._input_weights(hold))
        if hold is None:
            if self.training and torch.is_grad_enabled() and cpu_kernels.apply_to(x):
                y = cpu_kernels.gru(x, state, self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
                return y, y[-1]
            y, after = self.forward(x, state.unsqueeze(0))
        else:
            weights = (self._input_weights(hold), self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
            y, after = torch.gru(x, state.unsqueeze(0), weights, True, 1, 0.0, self.training, False, False)
        return y, after.squeeze(0)

    def _input_weights(self, hold: Tensor | None) -> Tensor:
        """The gates' weights of the input, and of `hold`: [3 · n_units, features (+ 1)]."""
        if hold is None:
            return self.weight_ih_l0
        of_hold = self.weight_ih_l0.new_zeros(3, self.hidden_size)
        of_hold[1] = self._HOLD_WEIGHT  # torch's gates: reset, update, new
        return torch.cat([self.weight_ih_l0, of_hold.reshape(-1, 1)], dim=1)

    def _in_onnx(self, x: Tensor, state: Tensor, input_weights: Tensor) -> tuple[Tensor, Tensor]:
        """The same by ONNX's GRU, which orders the gates differently: update, reset, new."""
        size = self.hidden_size
        parts = (input_weights, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        of_input, of_state, *biases = (torch.cat([w[size : 2 * size], w[:size], w[2 * size :]])[None] for w in parts)
        y, after = torch.onnx.ops.symbolic_multi_out(
            "GRU",
            (x, of_input, of_state, torch.cat(biases, dim=1), None, state.unsqueeze(0)),
            {"hidden_size": size, "linear_before_reset": 1},
            dtypes=(x.dtype, x.dtype),
            shapes=((x.shape[0], 1, x.shape[1], size), (1, x.shape[1], size)),
            version=14,
        )
        return y.squeeze(1), after.squeeze(0)


class Lstm(nn.LSTM):
    """One layer of long short-term memory over time, the first axis, from a zero state.

    It is exported as ONNX's own operator, since torch's translation works only for the traced length. On a CPU it runs on one
    core, see `cpu_kernels.lstm`.
    """

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, n_in: int, n_units: int) -> None:
        super().__init__(n_in, n_units)

    def run(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x: [k, batch, features] → [k, batch, n_units], and its value at the end of each sequence: [batch, n_units].

        Args:
            lengths: int32 [batch], 1 to k, where each sequence ends; values after it are meaningless. None: all end with x.
        """
        if torch.onnx.is_in_onnx_export():
            return self._in_onnx(x, lengths)
        self.check_input(x, None)  # torch.lstm does not
        weights = (self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        y: Tensor = cpu_kernels.lstm(x, *weights) if cpu_kernels.apply_to(x) else self.forward(x)[0]
        return y, y[-1] if lengths is None else y[lengths - 1, torch.arange(x.shape[1], device=x.device)]

    def _in_onnx(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """The same by ONNX's LSTM, which orders the gates differently: input, output, forget, cell."""
        size = self.hidden_size
        parts = (self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        of_input, of_state, *biases = (torch.cat([w[:size], w[3 * size :], w[size : 3 * size]])[None] for w in parts)
        ends = [] if lengths is None else [lengths]
        y, last, _ = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            (x, of_input, of_state, torch.cat(biases, dim=1), *ends),
            {"hidden_size": size},
            dtypes=(x.dtype,) * 3,
            shapes=((x.shape[0], 1, x.shape[1], size), *((1, x.shape[1], size),) * 2),
            version=14,
        )
        return y.squeeze(1), last.squeeze(0)
