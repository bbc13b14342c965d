"""Tokenizers of checkpoints: converted from whatever files there are, or refused with the reason."""

import json
import subprocess
import sys

import pytest
import tiny_tokenizers
from factories import ROOT
from tiny_tokenizers import byte_level_bpe, sentencepiece_model, tiny_tokenizer, wordpiece_vocabulary

from export.encoder.fast_tokenizer import load_tokenizer
from export.encoder.load import plain_tokenizer
from export.errors import ExportError, UnsupportedEncoder
from scorer.base.errors import ScorerError
from scorer.model.tokenizer import Tokenizer

TEXT = "Good film, isn't it?\n<mask> \u96fb\u5f71 [MASK]"
MODEL_TYPES = {
    "unigram": "xlm-roberta",
    "camembert": "camembert",
    "albert": "albert",
    "deberta": "deberta-v2",
    "t5": "t5",
    "sentencepiece": "llama",
}


@pytest.fixture
def checkpoint(tmp_path):
    def write(model_type, files):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
        for name, data in files.items():
            (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        return str(tmp_path)

    return write


def ids(tokenizer_json):
    return Tokenizer(plain_tokenizer(tokenizer_json, clean_text=False), 64).encode([TEXT]).ids[0].tolist()


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_a_sentencepiece_model_alone_is_enough(kind, checkpoint):
    name, data = sentencepiece_model(kind)
    assert ids(load_tokenizer(checkpoint(MODEL_TYPES[kind], {name: data}))) == tiny_tokenizer(kind)(TEXT)["input_ids"]


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "electra"])
def test_a_list_of_wordpieces_alone_is_enough(model_type, checkpoint):
    vocabulary = wordpiece_vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))
    lines = "".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.__getitem__))
    expected = tiny_tokenizer("wordpiece")(TEXT)["input_ids"]
    assert ids(load_tokenizer(checkpoint(model_type, {"vocab.txt": lines}))) == expected


@pytest.mark.parametrize("model_type", ["roberta", "data2vec-text"])
def test_vocabulary_and_merges_alone_are_enough(model_type, checkpoint):
    vocabulary, merges = byte_level_bpe(("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    lines = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges)
    folder = checkpoint(model_type, {"vocab.json": json.dumps(vocabulary), "merges.txt": lines})
    assert ids(load_tokenizer(folder)) == tiny_tokenizer("bpe")(TEXT)["input_ids"]


@pytest.mark.parametrize("model_type", ["bert", "roberta", "xlm-roberta", "deberta-v2", "mpnet", "camembert"])
def test_a_checkpoint_without_a_vocabulary_is_refused(model_type, checkpoint):
    """transformers makes a tokenizer of five tokens, for which every word is unknown."""
    folder = checkpoint(model_type, {})
    with pytest.raises(UnsupportedEncoder) as refused:
        load_tokenizer(folder)
    assert str(refused.value) == (
        f"the folder {folder!r} has no vocabulary for its tokenizer. Give one with tokenizer.json, or with the vocabulary "
        "of its family (vocab.txt, vocab.json and merges.txt, or a SentencePiece model)."
    )


def test_a_tokenizer_in_python_is_refused_by_name(checkpoint):
    folder = checkpoint("canine", {})
    with pytest.raises(UnsupportedEncoder) as refused:
        load_tokenizer(folder)
    assert str(refused.value) == (
        f"the tokenizer of {folder!r} (CanineTokenizer) exists only in Python, and scoring needs one that can be saved as "
        "tokenizer.json. Give an encoder with such a tokenizer."
    )


def test_a_package_that_only_this_tokenizer_needs_is_named(checkpoint, monkeypatch):
    def needs(*args, **options):
        raise ImportError("You need to install sacremoses to use XLMTokenizer.\nSee its page.")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", needs)
    with pytest.raises(ExportError, match="cannot be loaded: You need to install sacremoses to use XLMTokenizer"):
        load_tokenizer(checkpoint("xlm", {}))


def test_a_tokenizer_that_splits_special_tokens_is_refused(tmp_path):
    tokenizer = tiny_tokenizer("wordpiece")
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert load_tokenizer(str(tmp_path))
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "split_special_tokens": True}))
    with pytest.raises(UnsupportedEncoder, match=r"has split_special_tokens, which tokenizer\.json cannot state"):
        load_tokenizer(str(tmp_path))


def test_a_file_that_is_no_vocabulary_is_an_error(checkpoint):
    with pytest.raises(ScorerError, match="cannot be loaded"):
        load_tokenizer(checkpoint("xlm-roberta", {"sentencepiece.bpe.model": b"\x00nonsense"}))


def test_the_same_text_always_has_the_same_tokens():
    settings = json.loads(tiny_tokenizer("bpe").backend_tokenizer.to_str())
    settings["model"]["dropout"] = 0.5
    tokenizer = Tokenizer(plain_tokenizer(json.dumps(settings), clean_text=False), 64)
    expected = tiny_tokenizer("bpe")(TEXT)["input_ids"]
    assert [one.tolist() for one in tokenizer.encode([TEXT] * 20).ids] == [expected] * 20


def test_every_kind_is_made_the_same_in_another_process():
    code = "from tiny_tokenizers import KINDS, tiny_tokenizer; print({kind: tiny_tokenizer(kind)('good film')['input_ids'] for kind in KINDS})"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "tests",
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() == str(
        {kind: tiny_tokenizer(kind)("good film")["input_ids"] for kind in tiny_tokenizers.KINDS}
    )
