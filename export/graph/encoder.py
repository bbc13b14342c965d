"""An encoder in a graph: one walk over its blocks, for every precision.

`EncoderWriter` holds the mathematics of a post-LayerNorm encoder. `Operators` compute and name each step in one
precision: `export.graph.fp32.Float32`, `export.graph.int8.Int8` and `export.graph.fp16.Float16`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from onnx import TensorProto

from export.encoder.vectors import Queries, Vector
from export.encoder.weights import Block, EncoderWeights, Linear, Norm
from export.graph.writer import GraphWriter


class Affine(NamedTuple):
    """A product ``x @ weight + bias`` that is not written yet: a precision may have one node for it and the next step.

    Attributes:
        x: name of a value, (..., in).
        linear: weight and bias.
        name: name of the product, and of its bias in the graph.
        source: name of the weight in the graph. Another product may have the same weight, and then the same source.
    """

    x: str
    linear: Linear
    name: str
    source: str


class Operators(Protocol):
    """Steps of an encoder in one precision, for one graph and its attention mask.

    A step takes and returns names of values. Its ``name`` is that of the value that it returns, or of the block or vector
    that it belongs to. ``sum_name`` is the name of the sum, in a precision that has a node for it.
    """

    writer: GraphWriter

    def weight(self, name: str, value: np.ndarray) -> str:
        """Write a weight in the type of the activations."""
        ...

    def look_up(self, table: np.ndarray, ids: str) -> str:
        """Look up word embeddings: (batch, sequence) -> (batch, sequence, hidden)"""
        ...

    def normed_sum(self, x: str, y: str, norm: Norm, name: str, sum_name: str) -> str:
        """Write LayerNorm(x + y)."""
        ...

    def normed_residual(self, x: str, added: Affine, norm: Norm, name: str, sum_name: str) -> str:
        """Write LayerNorm(x + added)."""
        ...

    def linear(self, affine: Affine) -> str:
        """Write x @ weight + bias."""
        ...

    def activated(self, x: Affine, activation: str, name: str) -> str:
        """Write an activation of `export.encoder.families.ACTIVATIONS` of x."""
        ...

    def attention(self, query: Affine, key: Affine, value: Affine, bias: str, heads: int, name: str) -> str:
        """Write softmax(Q K^T / sqrt(head size) + bias) V for each head: (batch, sequence, hidden) -> the same.

        The bias is (1, heads, sequence, sequence), or the empty name.
        """
        ...

    def reach(self, query: Affine, key: np.ndarray, name: str) -> str:
        """Multiply per head: (batch, hidden) with (heads, head size, hidden) -> (batch, heads, hidden)"""
        ...

    def scores(self, reach: str, x: str, bias: str, name: str) -> str:
        """Write U X^T + bias, with padding masked so that softmax makes it 0.

        (batch or 1, n, hidden) and (batch, sequence, hidden) -> (batch, n, sequence); the bias is (n, sequence), or the
        empty name.
        """
        ...

    def values(self, gathered: str, value: np.ndarray, name: str) -> str:
        """Multiply per head: (batch, heads, hidden) with (heads, hidden, head size) -> (batch, hidden)"""
        ...

    @property
    def averaging(self) -> tuple[str, str]:
        """The factors of a mean over tokens: the row that sums them, (batch, 1, sequence), and the divisor, float32 (batch, 1)."""
        ...

    def floats(self, x: str, name: str) -> str:
        """Convert to float32, for the head."""
        ...


class EncoderWriter:
    """A writer of an encoder, up to the last layer that is read.

    Args:
        operators: operators of the precision.
        weights: weights of the encoder.
        ids: name of the token ids, (batch, sequence).
    """

    def __init__(self, operators: Operators, weights: EncoderWeights, ids: str) -> None:
        self._operators = operators
        self._writer = operators.writer
        self._weights = weights
        self._ids = ids

    def vectors(self, wanted: Sequence[Vector], queries: Queries) -> list[str]:
        """Write pooled vectors, and only the blocks that they need.

        Args:
            wanted: vectors to write.
            queries: queries of attention poolings.

        Returns:
            names in the order of ``wanted``: float32 (batch, hidden); for attention (batch, queries * hidden)
        """
        last = max(vector.layer for vector in wanted)
        first_only = [vector.kind for vector in wanted if vector.layer == last] == ["cls"]
        found: dict[Vector, str] = {}
        x = ""
        for layer, x in enumerate(self._layers(last - 1 if first_only else last)):
            for vector in wanted:
                if vector.layer == layer:
                    found[vector] = self._pooled(x, vector, queries)
        if first_only:
            first = self._first_token_block(x, last - 1)
            found[Vector("cls", last)] = self._operators.floats(first, "pooled")
        return [found[vector] for vector in wanted]

    def hidden(self, layer: int) -> str:
        """Write a layer's hidden states, (batch, sequence, hidden); layer 0 is the embeddings."""
        *_, x = self._layers(layer)
        return x

    def _layers(self, last: int) -> Iterator[str]:
        """Write the embeddings and then each layer up to ``last``, (batch, sequence, hidden), and yield their names.

        This is a generator so that the nodes that read a layer precede the nodes of the next one.
        """
        x = self._embeddings()
        yield x
        for number in range(last):
            x = self._block(x, number)
            yield x

    def _pooled(self, x: str, vector: Vector, queries: Queries) -> str:
        """Pool a layer, (batch, sequence, hidden) -> float32 (batch, hidden) or (batch, queries * hidden)"""
        if vector.kind == "cls":
            return self._operators.floats(self._first(x, "first"), "pooled")
        if vector.kind == "mean":
            return self._mean(x, vector.name)
        return self._attention_pooled(x, queries[vector.layer], vector.name)

    def _mean(self, x: str, name: str) -> str:
        row, count = self._operators.averaging
        sums = self._writer.node("MatMul", row, x, name=f"{name}.sums")
        total = self._writer.node("Squeeze", sums, self._one, name=f"{name}.total")
        return self._writer.node("Div", self._operators.floats(total, f"{name}.floats"), count, name=name)

    def _attention_pooled(self, x: str, queries: np.ndarray, name: str) -> str:
        """Write softmax(Q X^T) X, the rows of each text side by side."""
        gathered = self._gathered(x, self._operators.weight(f"{name}.queries", queries[np.newaxis]), "", name)
        gathered = self._operators.floats(gathered, f"{name}.floats")
        side_by_side = self._writer.constant("side_by_side", [0, queries.size])
        return self._writer.node("Reshape", gathered, side_by_side, name=name)

    def _gathered(self, x: str, reach: str, bias: str, name: str) -> str:
        """Write softmax(U X^T + bias) X without padding.

        (batch, sequence, hidden) and (batch or 1, n, hidden) -> (batch, n, hidden)
        """
        scores = self._operators.scores(reach, x, bias, name)
        shares = self._writer.node("Softmax", scores, axis=-1, name=f"{name}.shares")  # (batch, n, sequence)
        return self._writer.node("MatMul", shares, x, name=f"{name}.gathered")

    def _embeddings(self) -> str:
        weights = self._weights
        words = self._operators.look_up(weights.word, self._ids)
        length = self._length
        table = self._operators.weight("position", weights.positions)
        positions = self._writer.node("Slice", table, self._zero, length, name="positions")
        x = self._operators.normed_sum(words, positions, weights.embedding_norm, "embeddings", "embedded")
        if weights.projection is None:
            return x
        return self._operators.linear(Affine(x, weights.projection, "projected", "projection"))

    def _block(self, x: str, number: int) -> str:
        """Write a whole block: (batch, sequence, hidden) -> the same."""
        block, name = self._weights.blocks[number], f"block.{number}"
        query, key, value = (
            self._affine(x, linear, number, part)
            for part, linear in (("query", block.query), ("key", block.key), ("value", block.value))
        )
        context = self._operators.attention(query, key, value, self._relative_bias, self._weights.heads, name)
        return self._after_attention(x, context, block, number)

    def _first_token_block(self, x: str, number: int) -> str:
        """Write a block for the first token alone: (batch, sequence, hidden) -> (batch, hidden).

        One query row is enough, and the other tokens need neither keys nor values. Let x0 be the first row of X. For each
        head: q = Wq x0 + bq; u = Wk^T q; a = softmax(X u / sqrt(head size)); context = Wv (X^T a). Only the last block is
        written like this, so these matrices are its own even if it shares the others.
        """
        heads, name = self._weights.heads, f"block.{number}"
        block = fold_biases(self._weights.blocks[number])
        hidden = len(block.query.bias)
        size = hidden // heads
        root = math.sqrt(size)
        first = self._first(x, f"{name}.first")
        scaled = Linear(block.query.weight / root, block.query.bias / root)
        query = Affine(first, scaled, f"{name}.query", f"{name}.query")
        reach = self._operators.reach(query, block.key.weight.T.reshape(heads, size, hidden), name)
        gathered = self._gathered(x, reach, self._first_token_bias(), name)  # (batch, heads, hidden)
        value = block.value.weight.reshape(hidden, heads, size).transpose(1, 0, 2)
        context = self._operators.values(gathered, value, name)
        return self._after_attention(first, context, block, number)

    def _after_attention(self, x: str, context: str, block: Block, number: int) -> str:
        """Write the rest of a block for the tokens of x and context: (..., hidden), twice -> (..., hidden)."""
        name, activation = f"block.{number}", self._weights.activation
        attended = self._affine(context, block.attention_output, number, "attention_output")
        x = self._operators.normed_residual(
            x, attended, block.attention_norm, f"{name}.attention_norm", f"{name}.attended"
        )
        inner = self._affine(x, block.ffn_in, number, "ffn_in")
        inner_name = self._operators.activated(inner, activation, f"{name}.{activation}")
        outer = self._affine(inner_name, block.ffn_out, number, "ffn_out")
        return self._operators.normed_residual(x, outer, block.ffn_norm, f"{name}.ffn_norm", f"{name}.fed")

    def _affine(self, x: str, linear: Linear, number: int, part: str) -> Affine:
        """Return a product of a block, whose weight is that of the first block that has the same matrices."""
        return Affine(x, linear, f"block.{number}.{part}", f"block.{self._weights.sources[number]}.{part}")

    @cached_property
    def _relative_bias(self) -> str:
        """The bias of each pair of tokens by their distance, (1, heads, sequence, sequence); the empty name without one."""
        table = self._weights.relative_bias
        if table is None:
            return ""
        writer, longest = self._writer, len(table) // 2 + 1
        every_row = writer.constant("relative.rows", np.arange(longest - 1, len(table)))
        row = writer.node("Slice", every_row, self._zero, self._length, name="relative.row")
        places = writer.constant("relative.places", np.arange(longest))
        place = writer.node("Slice", places, self._zero, self._length, name="relative.place")
        place = writer.node("Unsqueeze", place, self._one, name="relative.asking")
        rows = writer.node("Sub", row, place, name="relative.pairs")  # (sequence, sequence)
        bias = writer.node("Gather", self._relative_table, rows, axis=0, name="relative.by_pair")
        bias = writer.node("Transpose", bias, perm=[2, 0, 1], name="relative.by_head")
        return writer.node("Unsqueeze", bias, self._zero, name="relative.bias")

    def _first_token_bias(self) -> str:
        """Write the bias for the first token alone, (heads, sequence); the empty name without one."""
        table = self._weights.relative_bias
        if table is None:
            return ""
        writer, longest = self._writer, len(table) // 2 + 1
        begin = writer.constant("relative.first", [longest - 1])
        end = writer.node("Add", begin, self._length, name="relative.end")
        behind = writer.node("Slice", self._relative_table, begin, end, name="relative.behind")
        return writer.node("Transpose", behind, perm=[1, 0], name="relative.of_first")

    @cached_property
    def _relative_table(self) -> str:
        assert self._weights.relative_bias is not None, "it has one"
        return self._operators.weight("relative", self._weights.relative_bias)

    @cached_property
    def _length(self) -> str:
        """The number of tokens of the longest text, (1)."""
        return self._writer.node("Shape", self._ids, start=1, end=2, name="sequence")

    @property
    def _zero(self) -> str:
        return self._writer.constant("zero", [0])

    @property
    def _one(self) -> str:
        return self._writer.constant("one", [1])

    def _first(self, x: str, name: str) -> str:
        """Take the first token: (batch, sequence, hidden) -> (batch, hidden)"""
        return self._writer.node("Gather", x, self._writer.constant("first_token", np.int64(0)), axis=1, name=name)


def fold_biases(block: Block) -> Block:
    """Return an equivalent block whose keys and values have no bias.

    The keys' bias adds the same to every score of a row, and softmax cancels it. The shares of a row sum to 1, so the
    values' bias passes through attention unchanged; the projection turns it into a part of its own bias.
    """
    projection = block.attention_output
    bias = block.value.bias.astype(np.float64) @ projection.weight + projection.bias
    return replace(
        block,
        key=Linear(block.key.weight, np.zeros_like(block.key.bias)),
        value=Linear(block.value.weight, np.zeros_like(block.value.bias)),
        attention_output=Linear(projection.weight, bias.astype(np.float32)),
    )


def padding_bias(writer: GraphWriter, attention_mask: str, nothing: str, lowest: str) -> str:
    """Write the mask that is added to scores: (batch, 1, sequence), ``nothing`` for a token, ``lowest`` for padding."""
    here = writer.node("Cast", attention_mask, to=TensorProto.BOOL, name="mask.here")
    row = writer.node("Where", here, nothing, lowest, name="mask.row")
    return writer.node("Unsqueeze", row, writer.constant("one", [1]), name="mask.bias")
