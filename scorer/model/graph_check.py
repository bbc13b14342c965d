"""ONNX files, read just far enough to know that they are safe for onnxruntime.

A graph is data from someone else. onnxruntime would open any file that it names, relative to the current folder, and
would build whatever a few megabytes can expand to. So its protobuf is walked first. It may have only fields that our
exporter writes, operators that encoders use, and files that the bundle lists. It may have no more of anything than a
model needs.
"""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Operator domains that a graph may use: the standard ones, the first in its two spellings, and onnxruntime's own."""

# The operators of encoders, however they are written: the last rows are those of exported ones (positions, rotary
# embeddings, masks, convolutions). Loops, sequences, random numbers and binaries for other providers are not among them.
# Some can make a large tensor of a few bytes, and so can a product: memory is limited while a bundle is loaded.
_OPERATORS = frozenset(
    """
    Abs Add And ArgMax ArrayFeatureExtractor Attention BiasGelu BiasSplitGelu Cast Clip Concat Constant DequantizeLinear Div
    DynamicQuantizeLinear DynamicQuantizeMatMul EmbedLayerNormalization Equal Erf Exp FastGelu Flatten FusedMatMul
    Gather GatherElements GatherND Gelu Gemm Greater GreaterOrEqual GroupQueryAttention Identity If
    LayerNormalization Less LessOrEqual Log MatMul MatMulBnb4 MatMulInteger MatMulIntegerToFloat MatMulNBits Max Min
    Mod Mul MultiHeadAttention Neg Not Or PackedAttention PackedMultiHeadAttention Pow QAttention QGemm
    QLinearMatMul QuantizeLinear QuickGelu Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum Relu RemovePadding
    Reshape RestorePadding RMSNormalization RotaryEmbedding Shape Sigmoid SimplifiedLayerNormalization
    SkipLayerNormalization SkipSimplifiedLayerNormalization Slice Softmax Split Sqrt Squeeze Sub Tanh TopK Transpose
    Unsqueeze Where Xor
    Ceil ConstantOfShape Conv Cos CumSum Einsum Expand Floor IsNaN Pad Range ReduceL2 ReduceProd Round ScatterElements
    ScatterND Sign Sin Softplus Swish Tile Trilu
    """.split()  # noqa: SIM905 - a list would have one name per line
)

_FIELDS_AT_MOST = 100_000  # an encoder of 6 blocks has some 5,000
_DEPTH_AT_MOST = 24  # of nested messages: a subgraph in a subgraph, and the messages in those

_LEAF = ""
# Contents of each field, by message (onnx.proto): another message, or a leaf. Local functions, training graphs and
# sparse tensors are missing, and so refused.
_SCHEMA: Mapping[str, Mapping[int, str]] = {
    "ModelProto": dict.fromkeys((1, 2, 3, 4, 5, 6), _LEAF) | {7: "GraphProto", 8: "OperatorSetIdProto", 14: "Entry"},
    "OperatorSetIdProto": dict.fromkeys((1, 2), _LEAF),
    "Entry": dict.fromkeys((1, 2), _LEAF),
    "GraphProto": dict.fromkeys((2, 10), _LEAF)
    | {1: "NodeProto", 5: "TensorProto", 16: "Entry"}
    | dict.fromkeys((11, 12, 13), "ValueInfoProto"),
    "NodeProto": dict.fromkeys((1, 2, 3, 4, 6, 7, 8), _LEAF) | {5: "AttributeProto", 9: "Entry"},
    "AttributeProto": dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 20, 21), _LEAF)
    | {5: "TensorProto", 6: "GraphProto", 10: "TensorProto", 11: "GraphProto"},
    "TensorProto": dict.fromkeys((1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14), _LEAF) | {13: "Entry", 16: "Entry"},
    "ValueInfoProto": dict.fromkeys((1, 3), _LEAF) | {2: "TypeProto", 4: "Entry"},
    "TypeProto": {1: "TypeProto.Tensor", 6: _LEAF},
    "TypeProto.Tensor": {1: _LEAF, 2: "TensorShapeProto"},
    "TensorShapeProto": {1: "Dimension"},
    "Dimension": dict.fromkeys((1, 2, 3), _LEAF),
}
_OPSET, _GRAPH, _NODE, _INITIALIZER, _ATTRIBUTE = 8, 7, 1, 5, 5
_NODE_OPERATOR, _NODE_DOMAIN = 4, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = (5, 10), (6, 11)
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA, _EXTERNAL, _LOCATION = 1, 2, 8, 9, 13, 14

# Bytes of an element, by TensorProto.DataType; only types that weights are stored in.
_ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}

# The numpy types of those that are needed outside onnxruntime.
_TYPES: Mapping[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    3: np.dtype("i1"),
    7: np.dtype("<i8"),
    10: np.dtype("<f2"),
}

Message = dict[int, list["int | memoryview | Message"]]
"""The fields of a message, by number: numbers, bytes and other messages."""


class UnfitGraph(ValueError):
    """A reason not to give a graph to onnxruntime."""


def check_onnx(graph: bytes, listed: Mapping[str, int]) -> frozenset[str]:
    """Check a graph and everything in it.

    Args:
        graph: bytes of an ONNX file.
        listed: lengths in bytes of the files that may hold external tensors, by name.

    Returns:
        names of the files that hold external tensors of this graph.

    Raises:
        UnfitGraph: the graph is malformed, uses what no bundle needs, or names a file that is not listed.
    """
    model = _Walk(memoryview(graph)).message("ModelProto", 0, len(graph), 0)
    if not model.get(_GRAPH):
        raise UnfitGraph("it has no graph")
    for opset in _messages(model, _OPSET):
        _check_domain(_text(opset, 1))
    files: set[str] = set()
    outside = 0
    graphs = list(_messages(model, _GRAPH))
    while graphs:
        current = graphs.pop()
        for tensor in _messages(current, _INITIALIZER):
            found = _external_file(tensor, listed)
            files |= found
            outside += _tensor_bytes(tensor) if found else 0
            if outside > sum(listed[name] for name in files):  # the same bytes would serve for many tensors
                raise UnfitGraph("its external tensors are larger than the files that hold them")
        for node in _messages(current, _NODE):
            _check_domain(_text(node, _NODE_DOMAIN))
            if _text(node, _NODE_OPERATOR) not in _OPERATORS:
                raise UnfitGraph(f"it uses the operator {_text(node, _NODE_OPERATOR)[:100]!r}, which no bundle needs")
            for attribute in _messages(node, _ATTRIBUTE):
                graphs += _messages(attribute, *_ATTRIBUTE_GRAPHS)
                if any(_is_external(tensor) for tensor in _messages(attribute, *_ATTRIBUTE_TENSORS)):
                    raise UnfitGraph("it has an external tensor that is not among its initializers")
    return frozenset(files)


def initializer(graph: bytes, files: Mapping[str, bytes], name: str) -> np.ndarray:
    """Read an initializer of a graph that passed `check_onnx`, from the graph or from a file beside it.

    Args:
        graph: bytes of an ONNX file.
        files: bytes of the files with its external tensors, by name.
        name: name of the initializer.

    Raises:
        UnfitGraph: no initializer has that name, or it is not stored as raw bytes of a numpy type.
    """
    model = _Walk(memoryview(graph)).message("ModelProto", 0, len(graph), 0)
    for tensor in (one for main in _messages(model, _GRAPH) for one in _messages(main, _INITIALIZER)):
        if _text(tensor, _NAME) != name:
            continue
        dtype, size = _TYPES.get(_number(tensor, _DATA_TYPE)), _tensor_bytes(tensor)
        data: object = tensor.get(_RAW_DATA, [b""])[-1]
        if _is_external(tensor):
            entries = {_text(entry, 1): _text(entry, 2) for entry in _messages(tensor, _EXTERNAL)}
            begin = int(entries.get("offset", 0))
            data = memoryview(files[entries["location"]])[begin : begin + size]
        if dtype is None or not isinstance(data, memoryview) or len(data) != size:
            raise UnfitGraph(f"its tensor {name!r} is stored in a way that cannot be read")
        return np.frombuffer(data, dtype).reshape([int(one) for one in tensor.get(_DIMS, []) if isinstance(one, int)])
    raise UnfitGraph(f"it has no tensor {name!r}")


class _Walk:
    """A reader of messages that counts every field."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._fields = 0

    def message(self, kind: str, at: int, end: int, depth: int) -> Message:
        if depth > _DEPTH_AT_MOST:
            raise UnfitGraph("its parts are nested deeper than those of any model")
        fields: Message = {}
        for number, value in self._each_field(at, end):
            what = _SCHEMA[kind].get(number)
            if what is None:
                raise UnfitGraph(f"it has field {number} in a {kind}, which no bundle needs")
            if what == _LEAF:
                held: int | memoryview | Message = (
                    value if isinstance(value, int) else self._data[value.start : value.stop]
                )
            elif isinstance(value, slice):
                held = self.message(what, value.start, value.stop, depth + 1)
            else:
                raise UnfitGraph(f"field {number} of a {kind} is malformed")
            fields.setdefault(number, []).append(held)
        return fields

    def _each_field(self, at: int, end: int) -> Iterator[tuple[int, int | slice]]:
        """Yield the number and the value of each field; the value is a number, or the slice of its bytes."""
        while at < end:
            self._fields += 1
            if self._fields > _FIELDS_AT_MOST:
                raise UnfitGraph("it expands to more parts than any model has")
            key, at = self._varint(at, end)
            number, wire = key >> 3, key & 7
            value: int | slice
            if wire == 0:
                value, at = self._varint(at, end)
            else:
                if wire == 2:
                    length, at = self._varint(at, end)
                elif wire in (1, 5):
                    length = 8 if wire == 1 else 4
                else:
                    raise UnfitGraph("it is not an ONNX file, or it is damaged")
                if length > end - at:
                    raise UnfitGraph("it is not an ONNX file, or it is truncated")
                # No field that is read here has a fixed size, and protobuf would ignore one that has.
                value, at = slice(at, at + length) if wire == 2 else -1, at + length
            yield number, value

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 64, 7):
            if at >= end:
                raise UnfitGraph("it is not an ONNX file, or it is truncated")
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise UnfitGraph("it is not an ONNX file, or it is damaged")


def _check_domain(domain: str) -> None:
    if domain not in DOMAINS:
        raise UnfitGraph(
            f"it uses operators of the domain {domain!r}; only ai.onnx, ai.onnx.ml and com.microsoft are allowed"
        )


def _is_external(tensor: Message) -> bool:
    return bool(tensor.get(_EXTERNAL)) or any(tensor.get(_LOCATION, []))


def _external_file(tensor: Message, listed: Mapping[str, int]) -> set[str]:
    """Return the file that holds an external tensor, or an empty set; all the tensor's bytes must be in it."""
    if not _is_external(tensor):
        return set()
    given = list(_messages(tensor, _EXTERNAL))
    entries = {_text(entry, 1): _text(entry, 2) for entry in given}
    name = entries.pop("location", "")
    if name not in listed:
        raise UnfitGraph(f"it refers to a tensor in the file {name!r}, which is not listed")
    understood = len(given) == len(entries) + 1 and entries.keys() <= {"offset", "length"}
    if not understood or not all(map(_is_count, entries.values())):
        raise UnfitGraph(f"it refers to a tensor in {name} in a way that cannot be checked")
    size, begin = _tensor_bytes(tensor), int(entries.get("offset", 0))
    if not size or size != int(entries.get("length", size)) or begin + size > listed[name]:
        raise UnfitGraph(f"it refers to a tensor that {name} does not contain")
    return {name}


def _tensor_bytes(tensor: Message) -> int:
    """Return the size of a tensor in bytes, by its shape and type; 0 if it is unknown."""
    types = tensor.get(_DATA_TYPE, [])
    numbers = [*(types if len(types) == 1 else [0]), *tensor.get(_DIMS, [])]
    sizes = [number for number in numbers if isinstance(number, int) and number >= 0]
    return _ELEMENT_BYTES.get(sizes[0], 0) * prod(sizes[1:]) if len(sizes) == len(numbers) else 0


def _number(message: Message, number: int) -> int:
    """Return the last value of a number field; a missing one is 0, as in protobuf."""
    value = message.get(number, [0])[-1]
    return value if isinstance(value, int) else 0


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _messages(message: Message, *numbers: int) -> Iterator[Message]:
    for number in numbers:
        for value in message.get(number, []):
            assert isinstance(value, dict)  # by the schema
            yield value


def _text(message: Message, number: int) -> str:
    """Return the last value of a text field; a missing one is empty, as in protobuf."""
    value = message.get(number, [b""])[-1]
    if not isinstance(value, memoryview | bytes):
        raise UnfitGraph("it contains a malformed name")
    return bytes(value[:1000]).decode(errors="backslashreplace")
