"""The shape of every value in the graph of a file, inferred before onnxruntime allocates any of them.

Each operator that a file may contain has a rule here for the shapes of its outputs; an operator without a rule is rejected, and
so are shapes that the graph would compute at run time. A small file therefore cannot allocate a large array, neither at run
time nor when onnxruntime folds constants at load.

A list of allowed operators with bounds on constants and inputs would not suffice: a file of 739 bytes that concatenates an array
with itself 17 times makes onnxruntime use 17 GB for one second of audio. Shape inference takes 0.7 ms of a load of 20 ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from wordspot.errors import CardError
from wordspot.formats import shown
from wordspot.runtime.modelfile.fields import ELEMENT_TYPES
from wordspot.runtime.modelfile.graph import Node, Tensor, Walked, shown_shape

Shape = tuple[int, ...]

OPSETS = range(18, 22)
MAX_VALUE = 1 << 24  # elements of one value, for one clip or one step of a stream
MAX_TOTAL = 1 << 26  # of all values
MAX_PRODUCTS = 1 << 33  # multiplications
_MAX_LISTED = 64
_MAX_RANK = 8


class Shapes:
    """Shapes by name, and their totals."""

    def __init__(self, walked: Walked, scale: int) -> None:
        self.shapes: dict[str, Shape] = {}
        self.numbers: dict[str, list[int]] = {}
        self.scale, self.total, self.products = scale, 0, 0
        for tensor in walked.initializers:
            self.define(tensor.name, tensor.shape)
            if tensor.element_type == "int64" and math.prod(tensor.shape) <= _MAX_LISTED:
                self.numbers[tensor.name] = _int64(tensor)

    def define(self, name: str, shape: Shape) -> None:
        """Record the shape of a new value.

        Raises:
            CardError: the name is defined twice, or the value exceeds the limits.
        """
        if not name or name in self.shapes:
            raise CardError(f"the graph defines {shown(name)} twice, or without a name")
        if any(type(size) is not int for size in shape):
            raise ValueError("sizes that are not integers")
        if any(size < 1 for size in shape):  # an array empty by a rule here would hide what is computed from it
            raise CardError(f"the graph makes an empty array: {shown(name)} has the shape {shown_shape(shape)}")
        size = math.prod(shape)
        self.total += size
        if len(shape) > _MAX_RANK or size > MAX_VALUE * self.scale:
            raise CardError(f"the graph makes an array of shape {shown_shape(shape)}; at most {MAX_VALUE} values are allowed")
        if self.total > MAX_TOTAL * self.scale:
            raise CardError(f"the graph makes arrays with more than {MAX_TOTAL} values together")
        self.shapes[name] = shape

    def work(self, products: int) -> None:
        self.products += products
        if self.products > MAX_PRODUCTS * self.scale:
            raise CardError(f"the graph needs more than {MAX_PRODUCTS} multiplications per clip")

    def constants(self, node: Node, position: int) -> list[int]:
        """The integers in an operator's input, which must be a constant of the file."""
        name = node.inputs[position] if len(node.inputs) > position else ""
        if name not in self.numbers:
            raise CardError(f"input {position} of {node.op_type} is {shown(name)}; expected a constant of the file")
        return self.numbers[name]


def infer_shapes(walked: Walked, inputs: dict[str, Shape], scale: int = 1) -> Shapes:
    """The shapes of all values for inputs of these shapes; the limits are `scale` times those of one clip or step.

    Raises:
        CardError: an operator is not allowed, or is used in a way that wordspot does not use; arrays are too large.
    """
    known = Shapes(walked, scale)
    for name, shape in inputs.items():
        known.define(name, shape)
    for node in walked.nodes:
        rule = RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if rule is None:
            raise CardError(f"the graph uses the operator {shown(f'{node.domain}:{node.op_type}')}, which wordspot does not")
        for name in node.inputs:
            if name and name not in known.shapes:
                raise CardError(f"the input {shown(name)} of {node.op_type} is not made before it")
        try:
            shapes = rule(known, node, [known.shapes.get(name, ()) for name in node.inputs])
            if not 1 <= len(node.outputs) <= len(shapes):
                raise ValueError("outputs that it does not have")
            for name, shape in zip(node.outputs, shapes, strict=False):
                if name:
                    known.define(name, shape)
        except (IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            if isinstance(error, CardError):
                raise
            raise CardError(f"{node.op_type} has inputs or attributes that wordspot does not use") from error
    return known


def _int64(tensor: Tensor) -> list[int]:
    return [int.from_bytes(tensor.data[at : at + 8], "little", signed=True) for at in range(0, len(tensor.data), 8)]


def _same(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    return [shapes[0]]


def _cast(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    if node.attributes["to"] not in ELEMENT_TYPES:
        raise ValueError("a type that is not a number")
    return [shapes[0]]


def _broadcast(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    return [_broadcast_shapes(*shapes)]


def _broadcast_shapes(*shapes: Shape) -> Shape:
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    sizes = []
    for column in zip(*padded, strict=True):
        wanted = {size for size in column if size != 1}
        if len(wanted) > 1:
            raise ValueError("shapes that do not broadcast")
        sizes.append(wanted.pop() if wanted else 1)
    return tuple(sizes)


def _matmul(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    a, b = shapes
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        raise ValueError("matrices that do not fit")
    shape = (*_broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1]) if len(a) + len(b) > 4 else (a[0], b[1])
    known.work(math.prod(shape) * a[-1])
    return [shape]


def _gemm(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    a = shapes[0][::-1] if node.attributes.get("transA", 0) else shapes[0]
    b = shapes[1][::-1] if node.attributes.get("transB", 0) else shapes[1]
    if len(a) != 2 or len(b) != 2 or a[1] != b[0]:
        raise ValueError("matrices that do not fit")
    known.work(a[0] * b[1] * a[1])
    return [_broadcast_shapes((a[0], b[1]), *shapes[2:])]


def _conv(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    x, weight = shapes[:2]
    if len(x) != len(weight) or x[1] != weight[1] * node.attributes.get("group", 1):
        raise ValueError("a kernel that does not fit")
    if node.attributes.get("kernel_shape", list(weight[2:])) != list(weight[2:]):
        raise ValueError("a kernel of another shape")
    sizes = _slide(node, x[2:], weight[2:])
    known.work(weight[0] * math.prod(sizes) * math.prod(weight[1:]) * x[0])
    return [(x[0], weight[0], *sizes)]


def _pool(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    kernel = node.attributes["kernel_shape"]
    sizes = _slide(node, shapes[0][2:], kernel)
    known.work(math.prod(shapes[0][:2]) * math.prod(sizes) * math.prod(kernel))
    return [(*shapes[0][:2], *sizes)]


def _slide(node: Node, sizes: Sequence[int], kernel: Sequence[int]) -> Shape:
    """The positions of a window that slides over [*sizes]."""
    rank, attributes = len(sizes), node.attributes
    pads, strides = attributes.get("pads", [0] * 2 * rank), attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    if attributes.get("auto_pad", "NOTSET") != "NOTSET" or min(*kernel, *strides, *dilations) < 1 or min(pads) < 0:
        raise ValueError("a window that wordspot does not use")
    if not len(kernel) == len(strides) == len(dilations) == rank or len(pads) != 2 * rank:
        raise ValueError("a window of another rank")
    places = []
    for axis, size in enumerate(sizes):
        left = size + pads[axis] + pads[axis + rank] - dilations[axis] * (kernel[axis] - 1) - 1
        if left < 0 or max(pads[axis], pads[axis + rank]) > dilations[axis] * (kernel[axis] - 1):
            raise ValueError("a window larger than its input, or in the padding only")
        places.append((-(-left // strides[axis]) if attributes.get("ceil_mode", 0) else left // strides[axis]) + 1)
    return tuple(places)


def _global_pool(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    return [(*shapes[0][:2], *(1 for _ in shapes[0][2:]))]


def _reduce(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    rank = len(shapes[0])
    axes = {_axis(axis, rank) for axis in known.constants(node, 1)}
    if node.attributes.get("keepdims", 1):
        return [tuple(1 if axis in axes else size for axis, size in enumerate(shapes[0]))]
    return [tuple(size for axis, size in enumerate(shapes[0]) if axis not in axes)]


def _concat(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    axis = _axis(node.attributes["axis"], len(shapes[0]))
    rests = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(rests) != 1 or len({len(shape) for shape in shapes}) != 1:
        raise ValueError("arrays that do not fit together")
    return [(*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])]


def _slice(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    starts, ends, axes = (known.constants(node, position) for position in (1, 2, 3))
    steps = known.constants(node, 4) if len(node.inputs) > 4 else [1] * len(axes)
    sizes = list(shapes[0])
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        position = _axis(axis, len(sizes))
        sizes[position] = slice_length(sizes[position], start, end, step)
    return [tuple(sizes)]


def slice_length(size: int, start: int, end: int, step: int) -> int:
    """Elements of a slice in ONNX; unlike in Python, a negative step may start before the first element."""
    first, last = (0, size) if step > 0 else (-1, size - 1)
    start, end = (place + size if place < 0 else place for place in (start, end))
    start, end = min(max(start, 0), last), min(max(end, first), last)
    return max(-((start - end) // step), 0)


def _split(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    axis = _axis(node.attributes.get("axis", 0), len(shapes[0]))
    size, n = shapes[0][axis], len(node.outputs)
    part = -(-size // n)
    sizes = known.constants(node, 1) if len(node.inputs) > 1 else [*[part] * (n - 1), size - part * (n - 1)]
    if sum(sizes) != size or min(sizes) < 0:
        raise ValueError("parts that do not add up")
    return [(*shapes[0][:axis], each, *shapes[0][axis + 1 :]) for each in sizes]


def _transpose(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    order = node.attributes.get("perm", list(range(len(shapes[0])))[::-1])
    if sorted(order) != list(range(len(shapes[0]))):
        raise ValueError("not a permutation of the axes")
    return [tuple(shapes[0][axis] for axis in order)]


def _reshape(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    wanted = known.constants(node, 1)
    if (node.attributes.get("allowzero", 0) and 0 in wanted) or wanted.count(-1) > 1 or min(wanted, default=0) < -1:
        raise ValueError("no shape")
    sizes = [shapes[0][axis] if size == 0 else size for axis, size in enumerate(wanted)]
    total, given = math.prod(shapes[0]), math.prod(size for size in sizes if size != -1)
    shape = tuple(total // given if size == -1 else size for size in sizes)
    if math.prod(shape) != total:
        raise ValueError("a shape of another size")
    return [shape]


def _flatten(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    axis = node.attributes.get("axis", 1)
    if not 0 <= axis <= len(shapes[0]):
        raise ValueError("no such axis")
    return [(math.prod(shapes[0][:axis]), math.prod(shapes[0][axis:]))]


def _squeeze(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    axes = {_axis(axis, len(shapes[0])) for axis in known.constants(node, 1)}
    if any(shapes[0][axis] != 1 for axis in axes):
        raise ValueError("an axis longer than 1")
    return [tuple(size for axis, size in enumerate(shapes[0]) if axis not in axes)]


def _unsqueeze(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    given = known.constants(node, 1)
    axes = {_axis(axis, len(shapes[0]) + len(given)) for axis in given}
    if len(axes) != len(given):
        raise ValueError("an axis named twice")
    sizes = iter(shapes[0])
    return [tuple(1 if axis in axes else next(sizes) for axis in range(len(shapes[0]) + len(given)))]


def _gather(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    axis = _axis(node.attributes.get("axis", 0), len(shapes[0]))
    return [(*shapes[0][:axis], *shapes[1], *shapes[0][axis + 1 :])]


def _gather_nd(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    if node.attributes.get("batch_dims", 0) or shapes[1][-1] > len(shapes[0]):
        raise ValueError("other indices than wordspot uses")
    return [(*shapes[1][:-1], *shapes[0][shapes[1][-1] :])]


def _pad(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
    pads, rank = known.constants(node, 1), len(shapes[0])
    if len(pads) != 2 * rank or len(node.inputs) > 3 or node.attributes.get("mode", "constant") != "constant":
        raise ValueError("other padding than wordspot uses")
    shape = tuple(size + pads[axis] + pads[axis + rank] for axis, size in enumerate(shapes[0]))
    if min(shape, default=0) < 0:
        raise ValueError("an axis of negative length")
    return [shape]


def _recurrent(n_gates: int, n_outputs: int) -> Callable[[Shapes, Node, list[Shape]], list[Shape]]:
    def rule(known: Shapes, node: Node, shapes: list[Shape]) -> list[Shape]:
        (steps, batch, n_inputs), (directions, rows, columns) = shapes[:2]
        hidden = node.attributes["hidden_size"]
        if columns != n_inputs or rows != n_gates * hidden or directions not in (1, 2) or node.attributes.get("layout", 0):
            raise ValueError("weights that do not fit")
        state = (directions, batch, hidden)
        others = ((directions, rows, hidden), (directions, 2 * rows), (batch,), state, state, (directions, 3 * hidden))
        for name, shape, wanted in zip(node.inputs[2:], shapes[2:], others, strict=False):
            if name and shape != wanted:
                raise ValueError("weights, lengths or a state that do not fit")
        known.work(steps * batch * directions * rows * (n_inputs + hidden))
        return [(steps, directions, batch, hidden), *[state] * (n_outputs - 1)]

    return rule


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError("no such axis")
    return axis % rank


_UNARY = (
    "Abs", "BatchNormalization", "Ceil", "Clip", "Cos", "DequantizeLinear", "Elu", "Erf", "Exp", "Floor", "Gelu",
    "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax",
    "Neg", "Not", "QuantizeLinear", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Softmax", "Softplus", "Sqrt",
    "Tanh",
)  # fmt: skip
_BROADCASTING = (
    "Add", "And", "BitwiseAnd", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod",
    "Mul", "Or", "Pow", "PRelu", "Sub", "Where",
)  # fmt: skip

#: The operators that a file may contain.
RULES: dict[str, Callable[[Shapes, Node, list[Shape]], list[Shape]]] = {
    **dict.fromkeys(_UNARY, _same), **dict.fromkeys(_BROADCASTING, _broadcast),
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"), _reduce),
    **dict.fromkeys(("AveragePool", "MaxPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    "Cast": _cast, "MatMul": _matmul, "Gemm": _gemm, "Conv": _conv, "Concat": _concat, "Slice": _slice, "Split": _split,
    "Transpose": _transpose, "Reshape": _reshape, "Flatten": _flatten, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze,
    "Gather": _gather, "GatherND": _gather_nd, "Pad": _pad, "GRU": _recurrent(3, 2), "LSTM": _recurrent(4, 3),
}  # fmt: skip
