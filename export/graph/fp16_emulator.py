"""Emulator of a float16 graph on a GPU, so that its error can be measured and corrected without one.

Every node is computed in float32 and its result rounded to float16, like kernels that keep their sums in float32.
onnxruntime's CPU provider is no substitute: it stays in float32 for several nodes and rounds only here and there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor
from torch.nn import functional

_TYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.FLOAT16: torch.float32,  # rounded afterwards
    TensorProto.INT32: torch.int32,
    TensorProto.BOOL: torch.bool,
}


# Operators whose kernels round their intermediate values as well.
_ROUNDING = ("MultiHeadAttention", "BiasGelu", "FastGelu")


def half_logits(model: onnx.ModelProto, rows: Sequence[np.ndarray], *, exact: bool = False) -> np.ndarray:
    """Compute the logits of a float16 graph of `export.graph.fp16`, one row at a time.

    Args:
        model: float16 graph.
        rows: token ids of each row, (sequence,).
        exact: as for `Emulated`.

    Returns:
        float32 (rows, logits)
    """
    emulated = Emulated(model, exact=exact)
    return np.concatenate([emulated.run(row[np.newaxis], np.ones((1, len(row)), dtype=np.int64)) for row in rows])


class Emulated:
    """A float16 graph of `export.graph.fp16`, ready to run; nodes that depend on constants alone are computed once.

    Args:
        model: float16 graph.
        exact: whether only the weights are rounded, and nothing computed from a text: the reference for the error.
    """

    def __init__(self, model: onnx.ModelProto, *, exact: bool = False) -> None:
        self._exact = False
        (output,) = model.graph.output
        self._output = output.name
        self._known = {tensor.name: _tensor(tensor) for tensor in model.graph.initializer}
        self._halves = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
        self._nodes = []
        for node in model.graph.node:
            if all(name in self._known for name in node.input if name):
                self._compute(node, self._known)
            else:
                self._nodes.append(node)
        self._exact = exact

    def run(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        """Compute logits: (batch, sequence), twice -> float32 (batch, logits)"""
        values = {
            **self._known,
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(attention_mask),
        }
        with torch.inference_mode():
            for node in self._nodes:
                self._compute(node, values)
        logits: np.ndarray = values[self._output].numpy()
        return logits

    def _compute(self, node: onnx.NodeProto, values: dict[str, Tensor]) -> None:
        name = node.output[0]
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        inputs = [values[one] if one else None for one in node.input]
        result = _OPERATORS[node.op_type](*inputs, **attributes, **self._rounding(node))
        if "to" in attributes:
            half = attributes["to"] == TensorProto.FLOAT16
        else:
            half = any(one in self._halves for one in node.input)
        if half:
            self._halves.add(name)
        values[name] = self._round(result) if half else result

    def _round(self, value: Tensor) -> Tensor:
        return value if self._exact else _rounded(value)

    def _rounding(self, node: onnx.NodeProto) -> dict[str, Callable[[Tensor], Tensor]]:
        """Return the argument for operators whose kernels round their intermediate values as well."""
        return {"rounded": self._round} if node.op_type in _ROUNDING else {}


def _rounded(value: Tensor) -> Tensor:
    return value.half().float()


def _tensor(constant: onnx.TensorProto) -> Tensor:
    tensor = torch.from_numpy(numpy_helper.to_array(constant).copy())
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: None,
    lengths: Tensor,
    added: Tensor | None = None,
    *,
    num_heads: int,
    rounded: Callable[[Tensor], Tensor],
) -> Tensor:
    """Compute attention as onnxruntime's kernels do.

    Flash kernels have float32 scores and sums, and round the shares of a row before the product. They take no bias of
    pairs. With one, the scores are a product of their own, so they are rounded, and so are the final shares.
    """
    batch, sequence, hidden = query.shape
    query, key, value = (x.view(batch, sequence, num_heads, -1).transpose(1, 2) for x in (query, key, value))
    scores = query @ key.transpose(2, 3) / (hidden // num_heads) ** 0.5
    if added is not None:
        scores = rounded(scores) + added
    behind = torch.arange(sequence)[None, :] >= lengths[:, None]
    scores = scores.masked_fill(behind[:, None, None, :], -torch.inf)
    if added is not None:
        context = rounded(scores.softmax(dim=-1)) @ value
    else:
        shares = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
        context = (rounded(shares) @ value) / shares.sum(dim=-1, keepdim=True)
    return context.transpose(1, 2).reshape(batch, sequence, hidden)


def _bias_gelu(x: Tensor, bias: Tensor, *, rounded: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute s Phi(s) of s = x + bias with each step rounded, because the kernel keeps its steps in float16."""
    x = rounded(x + bias)
    return x * rounded(torch.special.ndtr(x))


def _fast_gelu(x: Tensor, bias: Tensor, *, rounded: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute s (1 + tanh(s (a + b s^2))) / 2 of s = x + bias with each step rounded, for the same reason."""
    x = rounded(x + bias)
    inner = rounded(rounded(rounded(0.7978845608 * 0.044715 * x) * x) + 0.7978845608)
    return x * rounded(0.5 + 0.5 * rounded(torch.tanh(rounded(x * inner))))


def _normed_sum(
    x: Tensor, residual: Tensor, weight: Tensor, shift: Tensor, bias: Tensor | None = None, *, epsilon: float
) -> Tensor:
    x = x + residual if bias is None else x + residual + bias
    return functional.layer_norm(x, x.shape[-1:], weight, shift, epsilon)


def _gather(x: Tensor, at: Tensor, axis: int) -> Tensor:
    return functional.embedding(at, x) if axis == 0 else x.select(axis, int(at))


def _slice(x: Tensor, start: Tensor, end: Tensor, axes: Tensor | None = None) -> Tensor:
    axis = 0 if axes is None else int(axes[0])
    return x[(slice(None),) * axis + (slice(int(start[0]), int(end[0])),)]


def _reshape(x: Tensor, shape: Tensor) -> Tensor:
    return x.reshape([x.shape[at] if size == 0 else size for at, size in enumerate(shape.tolist())])


_OPERATORS: Mapping[str, Callable[..., Any]] = {
    "Add": torch.add,
    "Concat": lambda *parts, axis: torch.cat(parts, dim=axis),
    "BiasGelu": _bias_gelu,
    "Cast": lambda x, to: x.to(_TYPES[to]),
    "Div": torch.div,
    "Equal": torch.eq,
    "FastGelu": _fast_gelu,
    "FusedMatMul": lambda a, b, **transposed: a @ b.transpose(-1, -2),
    "Gather": _gather,
    "Gelu": functional.gelu,
    "GatherElements": lambda x, at, axis: x.gather(axis, at),
    "Less": torch.lt,
    "MatMul": torch.matmul,
    "Max": torch.maximum,
    "Mod": torch.remainder,
    "Mul": torch.mul,
    "MultiHeadAttention": _attention,
    "ReduceSum": lambda x, axes, keepdims: x.sum(dim=axes.tolist(), keepdim=bool(keepdims), dtype=x.dtype),
    "Relu": functional.relu,
    "Reshape": _reshape,
    "Shape": lambda x, start, end: torch.tensor(x.shape[start:end]),
    "SkipLayerNormalization": _normed_sum,
    "Slice": _slice,
    "Softmax": lambda x, axis: torch.softmax(x, dim=axis),
    "Squeeze": lambda x, axes: x.squeeze(axes.tolist()),
    "Sub": torch.sub,
    "Tanh": torch.tanh,
    "TopK": lambda x, count, axis, largest, sorted: x.topk(int(count[0]), axis, bool(largest), bool(sorted)).values,
    "Transpose": lambda x, perm: x.permute(*perm),
    "Unsqueeze": lambda x, axes: x.unsqueeze(int(axes[0])),
    "Where": torch.where,
}
