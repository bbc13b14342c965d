"""Tiny tokenizers of every kind that an encoder may have, trained on the spot, each in the transformers class of its family."""

import functools
import io
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers
import transformers
from factories import BAD, FILLER, GOOD
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

OTHER_SCRIPTS = (
    "Das war ein schöner Film, wirklich wunderschön!",
    "C'était l'été, à l'école: ça m'a plu.",
    "Фильм очень хороший, и актёры тоже.",
    "電影很好看、我很喜歡。這部電影真的很好看。",
    "映画はとても面白かった。また見たいです。",
    "영화가 정말 좋았다. 다시 보고 싶다.",
    "الفيلم جيد جدا",
    "It's 1999, isn't it? He said ``no'' to the 2nd one -- twice (really)...",
)

GPT2_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# The file with the vocabulary, as published checkpoints call it, the model's kind, and the special pieces.
_SENTENCEPIECE: dict[str, tuple[type, str, dict[str, Any]]] = {
    "unigram": (transformers.XLMRobertaTokenizer, "sentencepiece.bpe.model", {}),
    "camembert": (transformers.CamembertTokenizer, "sentencepiece.bpe.model", {}),
    "albert": (
        transformers.AlbertTokenizer,
        "spiece.model",
        {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": "[CLS],[SEP],[MASK]"},
    ),
    "deberta": (
        transformers.DebertaV2Tokenizer,
        "spm.model",
        {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]"}
        | {"eos_piece": "[SEP]", "unk_piece": "[UNK]"},
    ),
    "t5": (transformers.T5Tokenizer, "spiece.model", {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}),
    "llama": (
        transformers.LlamaTokenizer,
        "tokenizer.model",
        {"model_type": "bpe", "byte_fallback": True, "vocab_size": 420},
    ),
    # What transformers makes of a SentencePiece model that no class of its own reads.
    "sentencepiece": (
        transformers.PreTrainedTokenizerFast,
        "tokenizer.model",
        {"model_type": "bpe", "byte_fallback": True, "vocab_size": 420},
    ),
}


@functools.cache
def corpus() -> tuple[str, ...]:
    """Return a few hundred lines of the words of `factories.reviews`, with some of other scripts."""
    words = [word.removeprefix("##") for word in (*GOOD, *BAD, *FILLER)]
    rng = random.Random(0)
    lines = [" ".join(rng.choices(words, k=12)).capitalize() + "." for _ in range(300)]
    return (*lines, *(line for line in OTHER_SCRIPTS for _ in range(6)))


def tiny_tokenizer(kind: str) -> Any:
    """Make a tokenizer with some hundred tokens, as transformers makes that of a published checkpoint.

    Args:
        kind: one of `KINDS`. "wordpiece" is of BERT and ELECTRA, "bpe" of RoBERTa, "unigram" of XLM-RoBERTa, "deberta" of
            v2 and v3. "neox" is another byte-level BPE. "llama" and "sentencepiece" are BPE of SentencePiece.
    """
    return KINDS[kind]()


def sentencepiece_model(kind: str) -> tuple[str, bytes]:
    """Train a SentencePiece model; return the name of its file in a published checkpoint, and its bytes."""
    _, name, settings = _SENTENCEPIECE[kind]
    return name, _train(tuple(settings.items()))


def wordpiece_vocabulary(special: tuple[str, ...]) -> dict[str, int]:
    """Return tokens and ids of a WordPiece vocabulary, special tokens first."""
    # Not trained, because the library's trainer gives another vocabulary each time.
    normalizer, pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    pieces = [piece for line in corpus() for piece, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(line))]
    letters = sorted({letter for piece in pieces for letter in piece})
    tokens = [*special, *letters, *(f"##{letter}" for letter in letters), "##ly", "##ful", "##er", *sorted({*pieces})]
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def byte_level_bpe(special: tuple[str, ...]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return tokens and merges of a byte-level BPE, special tokens first."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    with tempfile.TemporaryDirectory() as folder:
        _, merges = tokenizer.model.save(folder)
        lines = Path(merges).read_text(encoding="utf-8").splitlines()
    pairs = [tuple(line.split(" ")) for line in lines if not line.startswith("#version")]
    return tokenizer.get_vocab(), pairs  # type: ignore[return-value]


@functools.cache
def _train(settings: tuple[tuple[str, Any], ...]) -> bytes:
    model = io.BytesIO()
    options = {"model_type": "unigram", "vocab_size": 300} | dict(settings)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=model,
        character_coverage=1.0,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    return model.getvalue()


def _from_sentencepiece(kind: str) -> Any:
    family, _, _ = _SENTENCEPIECE[kind]
    name, data = sentencepiece_model(kind)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_bytes(data)
        return family.from_pretrained(folder)  # type: ignore[attr-defined]


def _wordpiece() -> Any:
    return transformers.BertTokenizer(vocab=wordpiece_vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")))


def _mpnet() -> Any:
    return transformers.MPNetTokenizer(vocab=wordpiece_vocabulary(("<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>")))


def _roberta() -> Any:
    vocabulary, merges = byte_level_bpe(("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    return transformers.RobertaTokenizer(vocab=vocabulary, merges=merges)


def _modernbert(pieces: pre_tokenizers.PreTokenizer | None = None) -> Any:
    special = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")
    vocabulary, merges = byte_level_bpe(special)
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pieces or pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    )
    # Like the published one, it has tokens of two and more blanks, which are not special.
    blanks = [tokenizers.AddedToken(" " * count, special=False, normalized=True) for count in range(24, 1, -1)]
    tokenizer.add_tokens([*blanks, tokenizers.AddedToken("|||EMAIL_ADDRESS|||", special=False, normalized=True)])
    mask = tokenizers.AddedToken("[MASK]", lstrip=True, special=True, normalized=False)
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token=mask, **names)


def _neox() -> Any:
    split = pre_tokenizers.Split(tokenizers.Regex(GPT2_PIECES), "isolated")
    return _modernbert(pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)]))


KINDS: dict[str, Callable[[], Any]] = {
    "wordpiece": _wordpiece,
    "mpnet": _mpnet,
    "bpe": _roberta,
    "modernbert": _modernbert,
    "neox": _neox,
    **{kind: functools.partial(_from_sentencepiece, kind) for kind in _SENTENCEPIECE},
}
