"""Loader of a pretrained encoder and its tokenizer, both frozen."""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig

from export.encoder.emoji import EmojiPieces, add_emoji
from export.encoder.families import Family, check_positions, family_of
from export.encoder.fast_tokenizer import load_tokenizer
from export.encoder.folder import cannot_be_loaded
from export.encoder.saved import SETTINGS, TOKENIZER, TOKENIZER_SETTINGS
from export.errors import UnsupportedEncoder
from scorer.base.errors import ScorerError
from scorer.base.shortage import shortage
from scorer.base.text import first_line
from scorer.model.cleaning import CLEANING_NORMALIZERS, steps_of
from scorer.model.tokenizer import Tokenizer
from scorer.storage.atomic import cannot_be_written
from scorer.storage.output import publish_bytes

# transformers trims texts for SentencePiece by the first pattern, which takes quadratic time in runs of blanks: it tries
# the end of a run from each of its blanks. The second tries it from the first one only, and matches the same.
_TRIMMING = r"\A +| +\z"
_TRIMMING_ONCE = r"\A +|(?<! ) +\z"


@dataclass(frozen=True)
class FrozenEncoder:
    """A pretrained encoder whose weights never change.

    Attributes:
        name: name as it was given; the last part of a folder's path.
        revision: commit on the hub; None for a local folder.
        family: family of the model; None if no family's graph can be written for it.
        model: encoder in eval mode, without trainable weights.
        tokenizer_json: file of the fast tokenizer, with its padding and truncation switched off.
        tokenizer: tokenizer built from exactly that file.
        sha256: digest of the weights' names, types, shapes and bytes, whatever file format they came from.
        emoji_ids: ids of the pieces of emoji whose embeddings are to be trained; none without --emoji.
    """

    name: str
    revision: str | None
    family: Family | None
    model: nn.Module
    tokenizer_json: bytes
    tokenizer: Tokenizer
    sha256: str
    emoji_ids: tuple[int, ...] = ()

    @property
    def config(self) -> PretrainedConfig:
        config = self.model.config
        assert isinstance(config, PretrainedConfig)
        return config

    @property
    def hidden_size(self) -> int:
        return int(self.config.hidden_size)

    @property
    def layers(self) -> int:
        return int(self.config.num_hidden_layers) * int(getattr(self.config, "inner_group_num", 1))

    @property
    def positions(self) -> int:
        """The largest number of tokens that it can read; as many as are kept of a text if it has no such limit."""
        found = positions_of(self.config, self.family)
        return self.tokenizer.max_length if found is None else found


def positions_of(config: PretrainedConfig, family: Family | None) -> int | None:
    """Return the largest number of tokens that a model can read; None without a limit, as with relative positions."""
    limit = getattr(config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return None
    return limit - (0 if family is None else family.first_position(config.pad_token_id))


def load_encoder(
    name: str,
    *,
    max_length: int,
    max_tokens: int | None = None,
    revision: str | None = None,
    called: str | None = None,
    clean_text: bool = False,
    emoji: bool = False,
) -> FrozenEncoder:
    """Load an encoder by its hub name or from a local folder.

    Args:
        name: hub name, or folder with config.json, weights and tokenizer.json (or vocabulary files).
        max_length: largest number of tokens of a text that the encoder will read, special tokens included.
        max_tokens: largest number of tokens of a text that its tokenizer keeps; None for ``max_length``.
        revision: branch, tag or commit on the hub.
        called: name of the encoder in the bundle; None for its own.
        clean_text: whether the tokenizer cleans texts (`scorer.model.cleaning`), in the bundle as well.
        emoji: whether frequent emoji get pieces of their own.

    Raises:
        UnsupportedEncoder: the encoder has no fast tokenizer, or has fewer positions than ``max_length``, or no
            places for emoji.
        ExportError: the encoder cannot be found or read.
    """
    # Its report of weights that we leave out on purpose, and its bar for a second's work, would bury our own messages.
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
        family = family_of(config)
        tokenizer_json = load_tokenizer(name, revision)
        extra = {"add_pooling_layer": False} if family is not None and family.pooling_layer else {}
        # float32 whatever type the file has: parity is promised in float32.
        safe = {"revision": revision, "trust_remote_code": False}
        model = AutoModel.from_pretrained(name, dtype=torch.float32, **safe, **extra)
    except ScorerError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise shortage(error) or cannot_be_loaded(name, first_line(error)) from error
    return freeze(
        model,
        tokenizer_json,
        name=called or (Path(name).name if Path(name).is_dir() else name),
        revision=getattr(config, "_commit_hash", None),
        max_length=max_length,
        max_tokens=max_tokens,
        clean_text=clean_text,
        emoji=emoji,
    )


def freeze(
    model: nn.Module,
    tokenizer_json: str,
    *,
    name: str,
    max_length: int,
    max_tokens: int | None = None,
    revision: str | None = None,
    clean_text: bool = False,
    emoji: bool = False,
) -> FrozenEncoder:
    """Freeze an encoder: no gradients, no dropout, and a tokenizer without padding and truncation of its own."""
    family = family_of(model.config)  # type: ignore[arg-type]
    model.eval()
    model.requires_grad_(False)
    pieces = add_emoji(tokenizer_json, name) if emoji else EmojiPieces(tokenizer_json, (), {})
    file = plain_tokenizer(pieces.tokenizer_json, clean_text=clean_text)
    tokenizer = Tokenizer(file, max_tokens or max_length)
    _embed(model, pieces, tokenizer)
    encoder = FrozenEncoder(name, revision, family, model, file, tokenizer, weights_sha256(model), pieces.ids)
    check_positions(name, encoder.positions, max_length)
    vocabulary = int(model.config.vocab_size)  # type: ignore[union-attr,arg-type]
    if encoder.tokenizer.highest_id >= vocabulary:
        raise UnsupportedEncoder(
            f"the tokenizer of {name!r} has ids up to {encoder.tokenizer.highest_id}, but the encoder's vocabulary has only "
            f"{vocabulary} entries. Give an encoder with its own tokenizer."
        )
    return encoder


def _embed(model: nn.Module, pieces: EmojiPieces, tokenizer: Tokenizer) -> None:
    """Make the embedding of each new emoji the mean of those of the pieces of its words."""
    rows = model.get_input_embeddings().weight.data if pieces.words else None  # type: ignore[operator]
    for number, encoding in zip(pieces.words, tokenizer.with_offsets([*pieces.words.values()]), strict=True):
        rows[number] = rows[encoding.ids].mean(dim=0)  # type: ignore[index]


def save(encoder: FrozenEncoder, folder: Path) -> None:
    """Publish an encoder file by file, in the form that `load_encoder` reads; make its folder if it is missing.

    The tokenizer that is written cleans texts and knows emoji if this one does.

    Raises:
        ScorerError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", suffix=".partial", dir=folder) as partial:
            encoder.model.save_pretrained(partial)  # type: ignore[operator]
            Path(partial, TOKENIZER).write_bytes(encoder.tokenizer_json)
            Path(partial, TOKENIZER_SETTINGS).write_bytes(SETTINGS)
            for path in sorted(Path(partial).iterdir()):
                publish_bytes(str(folder / path.name), path.read_bytes())
    except OSError as error:
        raise cannot_be_written(folder, error) from error


def plain_tokenizer(tokenizer_json: str, *, clean_text: bool) -> bytes:
    """Return the tokenizer's file without padding and truncation; ``clean_text`` adds first steps to its normaliser."""
    settings = json.loads(tokenizer_json)
    settings["padding"] = settings["truncation"] = None
    steps = steps_of(settings["normalizer"])
    for step in steps:
        if step.get("pattern") == {"Regex": _TRIMMING}:
            step["pattern"] = {"Regex": _TRIMMING_ONCE}
    if "dropout" in settings["model"]:  # of BPE, to train with other tokens each time
        settings["model"]["dropout"] = None
    if clean_text and steps[: len(CLEANING_NORMALIZERS)] != CLEANING_NORMALIZERS:
        settings["normalizer"] = {"type": "Sequence", "normalizers": [*CLEANING_NORMALIZERS, *steps]}
    return json.dumps(settings, ensure_ascii=False, separators=(",", ":")).encode()


def weights_sha256(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
