"""The network that PyTorch trains: the encoder's last blocks, attention poolings and the head, on texts laid end to end."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from export.classifier.head import LinearHead
from export.encoder.load import FrozenEncoder
from export.encoder.vectors import QUERIES, Queries, Vector, vectors
from export.encoder.weights import EncoderWeights, block_modules, encoder_weights

# Least deviation of a channel when it is standardised, relative to the median of all channels.
_LEAST_DEVIATION = 0.1

# Activations by the names of `EncoderWeights.activation`.
_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
}


class _Block(nn.Module):
    """A block of the encoder, made of its own modules, on texts laid end to end.

    Args:
        parts: modules by the names of `export.encoder.weights.Block`.
        weights: arrays of the encoder, whose relative bias is not trained.
        dropout: share of the values added to the residual that training drops.
    """

    def __init__(self, parts: Mapping[str, nn.Module], weights: EncoderWeights, dropout: float) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self._heads = weights.heads
        self._activation = _ACTIVATIONS[weights.activation]
        bias = None if weights.relative_bias is None else torch.from_numpy(weights.relative_bias.T.copy())
        self._bias: Tensor | None
        self.register_buffer("_bias", bias, persistent=False)
        self._dropout = dropout

    def forward(self, x: Tensor, lengths: list[int], *, first_only: bool) -> Tensor:
        """Compute (tokens, hidden) -> (tokens, hidden), or (texts, hidden) for each text's first token alone."""
        parts = self.parts
        asking = x[_begins(lengths)] if first_only else x
        query, key, value = parts["query"](asking), parts["key"](x), parts["value"](x)
        texts = zip(
            torch.split(query, [1] * len(lengths) if first_only else lengths),
            torch.split(key, lengths),
            torch.split(value, lengths),
            strict=True,
        )
        attended = self._dropped(parts["attention_output"](torch.cat([self._attention(*text) for text in texts])))
        x = parts["attention_norm"](asking + attended)
        fed = self._dropped(parts["ffn_out"](self._activation(parts["ffn_in"](x))))
        return parts["ffn_norm"](x + fed)

    def _attention(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Compute softmax(Q K^T / sqrt(head size) + bias) V of one text for its first tokens, (queries, hidden)."""
        by_head = (x.view(len(x), self._heads, -1).transpose(0, 1) for x in (query, key, value))
        query, key, value = by_head  # (heads, sequence, head size)
        # Quicker than PyTorch's own function for it: on a CPU, half the time of 250 tokens in bf16.
        scores = torch.bmm(query * query.shape[2] ** -0.5, key.transpose(1, 2))
        bias = self._relative_bias(query.shape[1], key.shape[1])
        shares = (scores if bias is None else scores + bias).softmax(dim=-1)
        return torch.bmm(shares.to(value.dtype), value).transpose(0, 1).flatten(1)

    def _relative_bias(self, queries: int, keys: int) -> Tensor | None:
        """Return what is added to the scores of a text's first tokens, (heads, queries, keys)."""
        if self._bias is None:
            return None
        first = self._bias.shape[1] // 2  # row of the bias between a token and itself
        after = torch.arange(keys)[None, :] - torch.arange(queries)[:, None]
        return self._bias[:, (first + after).to(self._bias.device)]

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self._dropout, self.training)


class _Embedding(nn.Module):
    """The encoder's embeddings of texts laid end to end, of which some rows may be trained.

    Attributes:
        trained: ids whose rows are trained, (rows,).

    Args:
        weights: arrays of the encoder.
        trained: ids whose rows are trained.
    """

    trained: Tensor
    _word: Tensor
    _positions: Tensor
    _weight: Tensor
    _bias: Tensor
    _numbers: Tensor
    _matrix: Tensor | None
    _shift: Tensor | None

    def __init__(self, weights: EncoderWeights, trained: Sequence[int]) -> None:
        super().__init__()
        norm, projection = weights.embedding_norm, weights.projection
        numbers, own = torch.full((len(weights.word),), -1), torch.tensor(trained, dtype=torch.int64)
        numbers[own] = torch.arange(len(trained))
        constants = {
            "_word": torch.from_numpy(weights.word),
            "_positions": torch.from_numpy(weights.positions),
            "_weight": torch.from_numpy(norm.weight),
            "_bias": torch.from_numpy(norm.bias),
            "_matrix": None if projection is None else torch.from_numpy(projection.weight),
            "_shift": None if projection is None else torch.from_numpy(projection.bias),
            "_numbers": numbers,
            "trained": own,
        }
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)
        self._epsilon = norm.epsilon
        self.rows = nn.Parameter(self._word[self.trained].clone(), requires_grad=len(trained) > 0)

    def forward(self, rows: Sequence[np.ndarray]) -> Tensor:
        """Compute (tokens, hidden) from token ids, (sequence,) for each text."""
        ids = torch.from_numpy(np.concatenate(rows)).to(self._word.device)
        x = self._word[ids]
        numbers = self._numbers[ids]
        own = torch.nonzero(numbers >= 0)[:, 0]
        if len(own):
            x = x.index_put((own,), self.rows[numbers[own]])
        x = x + torch.cat([self._positions[: len(row)] for row in rows])
        x = functional.layer_norm(x, x.shape[-1:], self._weight, self._bias, self._epsilon)
        return x if self._matrix is None or self._shift is None else x @ self._matrix + self._shift


class _Attention(nn.Module):
    """An attention pooling of standardised hidden states, so that one learning rate suits all encoders.

    Attributes:
        mean, deviation: mean and standard deviation of the hidden states, (hidden,).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self._queries = nn.Parameter(torch.empty(QUERIES, hidden).normal_(std=0.02, generator=generator))
        self.register_buffer("mean", torch.zeros(hidden))
        self.register_buffer("deviation", torch.ones(hidden))

    def measure(self, x: Tensor) -> None:
        """Set mean and deviation to those of hidden states, (tokens, hidden).

        The deviation has a lower bound. A nearly constant channel varies mostly by rounding, since hidden states are kept
        in float16. Divided by almost nothing, it would outweigh all other channels.
        """
        deviation = x.std(dim=0, correction=0)
        least = max(1e-8, _LEAST_DEVIATION * deviation.median().item())
        self.mean, self.deviation = x.mean(dim=0), deviation.clamp(min=least)

    def forward(self, x: Tensor, lengths: list[int]) -> Tensor:
        """Compute (tokens, hidden) -> (texts, queries * hidden)."""
        x = (x - self.mean) / self.deviation
        shares = torch.split(x @ self._queries.T, lengths)
        texts = zip(shares, torch.split(x, lengths), strict=True)
        return torch.stack([(scores.softmax(dim=0).T @ text).flatten() for scores, text in texts])

    def queries(self) -> np.ndarray:
        """Return queries for raw hidden states; the mean adds the same to all tokens, which softmax cancels."""
        return (self._queries.detach() / self.deviation).cpu().numpy()


class Network(nn.Module):
    """The blocks, poolings and head to train, on a copy of the encoder.

    Attributes:
        model: copy of the encoder's model.
        first: number of the layer whose hidden states are the input; 0 if token ids are.
        embedding: embeddings, whose rows of new pieces are trained if the first block is.
        trained_blocks: blocks to train, the encoder's last ones.
        attentions: attention poolings, by layer.
        head: linear layer on all vectors of the pooling.

    Args:
        encoder: encoder to copy.
        pooling: vectors that the head reads; see `export.encoder.vectors.vectors`.
        logit_count: number of logits.
        blocks: number of blocks to train.
        dropout: share of the hidden values of trained blocks, and of the head's input, that training drops.
        seed: seed of the initial weights of the head and the poolings.
    """

    def __init__(
        self, encoder: FrozenEncoder, pooling: str, logit_count: int, *, blocks: int, dropout: float, seed: int
    ) -> None:
        super().__init__()
        self.model = copy.deepcopy(encoder.model)
        self._wanted = vectors(pooling, encoder.layers)
        self._dropout = dropout
        self._hidden = hidden = encoder.hidden_size
        layers = [vector.layer for vector in self._wanted]
        trained = encoder.layers - blocks  # blocks after this layer are trained
        self.first = trained if blocks else min(layers)
        assert encoder.family is not None, "others are refused before"
        modules, weights = block_modules(self.model, encoder.family), encoder_weights(encoder)
        self.embedding = _Embedding(weights, encoder.emoji_ids if blocks and self.first == 0 else ())
        self._blocks = nn.ModuleList(
            _Block(modules[layer], weights, dropout if layer >= trained else 0.0)
            for layer in range(self.first, max(layers))
        )
        self.trained_blocks = self._blocks[trained - self.first :]
        self.trained_blocks.requires_grad_(True)
        own = [vector.layer for vector in self._wanted if vector.kind == "attention"]
        self.head = nn.Linear((len(layers) + (QUERIES - 1) * len(own)) * hidden, logit_count)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.head.weight.normal_(std=0.02, generator=generator)
            self.head.bias.zero_()
        self.attentions = nn.ModuleDict({str(layer): _Attention(hidden, generator) for layer in own})

    def measure(self, rows: Sequence[np.ndarray]) -> None:
        """Set what attention poolings standardise by, from the inputs of some texts, (sequence, hidden) each."""
        self.eval()
        with torch.no_grad():
            for layer, x, _ in self._states(rows):
                if str(layer) in self.attentions:
                    self._attention(layer).measure(x)

    def forward(self, rows: Sequence[np.ndarray]) -> Tensor:
        """Compute logits (texts, logits) from inputs, (sequence,) or (sequence, hidden) for each text; see `first`."""
        found = {}
        for layer, x, lengths in self._states(rows):
            for vector in self._wanted:
                if vector.layer == layer:
                    found[vector] = self._pooled(vector, x, lengths)
        features = torch.cat([found[vector].float() for vector in self._wanted], dim=1)
        with torch.autocast(self.device.type, enabled=False):
            return self.head(functional.dropout(features, self._dropout, self.training))

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return self.head.weight.device

    def trained_model(self) -> nn.Module:
        """Return the encoder's model with everything that was trained, on the CPU; end the use of the network."""
        with torch.no_grad():
            word = self.model.get_input_embeddings()  # type: ignore[operator]
            word.weight[self.embedding.trained] = self.embedding.rows
        return self.model.cpu()

    def linear_head(self) -> LinearHead:
        """Return the head for vectors of raw hidden states."""
        weight, bias = (one.detach().cpu().numpy().copy() for one in (self.head.weight, self.head.bias))
        head = LinearHead(weight, bias)
        means: list[np.ndarray] = []
        deviations: list[np.ndarray] = []
        for kind, layer in self._wanted:
            own = self._attention(layer) if kind == "attention" else None
            means += [np.zeros(self._hidden)] if own is None else [own.mean.cpu().numpy()] * QUERIES
            deviations += [np.ones(self._hidden)] if own is None else [own.deviation.cpu().numpy()] * QUERIES
        return head.unscaled(np.concatenate(means), np.concatenate(deviations))

    def queries(self) -> Queries:
        return {int(layer): self._attention(int(layer)).queries() for layer in self.attentions}

    def _states(self, rows: Sequence[np.ndarray]) -> Iterator[tuple[int, Tensor, list[int]]]:
        """Yield each layer's number, its hidden states with texts end to end, (tokens, hidden), and the texts' lengths."""
        lengths = [len(row) for row in rows]
        x = torch.from_numpy(np.concatenate(rows)).to(self.device) if self.first else self.embedding(rows)
        yield self.first, x, lengths
        for layer, block in enumerate(self._blocks, start=self.first + 1):
            first_only = [vector.kind for vector in self._wanted if vector.layer == layer] == ["cls"]
            x = block(x, lengths, first_only=first_only)
            lengths = [1] * len(rows) if first_only else lengths
            yield layer, x, lengths

    def _pooled(self, vector: Vector, x: Tensor, lengths: list[int]) -> Tensor:
        """Compute one vector of each text, (texts, hidden), or an attention pooling's vectors, (texts, queries * hidden)."""
        if vector.kind == "cls":
            return x[_begins(lengths)]
        if vector.kind == "mean":
            return torch.stack([text.mean(dim=0) for text in torch.split(x, lengths)])
        found: Tensor = self._attention(vector.layer)(x, lengths)
        return found

    def _attention(self, layer: int) -> _Attention:
        found = self.attentions[str(layer)]
        assert isinstance(found, _Attention)
        return found


def _begins(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *np.cumsum(lengths)[:-1]])
