"""Families of encoders: a `Family` is all that the code needs to know of one."""

import dataclasses

import numpy as np
import pytest
import transformers
from factories import MAX_LENGTH, POSITIONS, randomize, tiny_tokenizer

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.encoder.families import FAMILIES
from export.encoder.load import load_encoder
from export.encoder.weights import encoder_weights
from export.errors import UnsupportedEncoder
from export.graph.fp32 import to_float32
from export.graph.parity import compare
from scorer.engine.runtime import open_session

_, BERT, ROBERTA = FAMILIES
SETTINGS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
NEW = {
    "electra": (
        dataclasses.replace(BERT, name="electra", pooling_layer=False),
        transformers.ElectraModel,
        transformers.ElectraConfig(embedding_size=32, max_position_embeddings=POSITIONS, **SETTINGS),
    ),
    "xlm-roberta": (
        dataclasses.replace(ROBERTA, name="xlm-roberta"),
        transformers.XLMRobertaModel,
        transformers.XLMRobertaConfig(
            max_position_embeddings=POSITIONS + 2, type_vocab_size=1, pad_token_id=1, **SETTINGS
        ),
    ),
}


@pytest.mark.parametrize("name", NEW)
def test_a_family_that_is_added_is_loaded_and_exported_as_pytorch_computes_it(name, tmp_path, monkeypatch):
    family, model, config = NEW[name]
    tokenizer = tiny_tokenizer("roberta" if name == "xlm-roberta" else "bert")
    tokenizer.save_pretrained(tmp_path)
    config.vocab_size = max(tokenizer.get_vocab().values()) + 1  # one word is in the vocabulary twice
    random_model = model(config)
    randomize(random_model)
    random_model.save_pretrained(tmp_path)
    with pytest.raises(UnsupportedEncoder, match=f"is of the kind '{name}'"):
        load_encoder(str(tmp_path), max_length=MAX_LENGTH)

    monkeypatch.setattr("export.encoder.families.FAMILIES", (*FAMILIES, family))
    encoder = load_encoder(str(tmp_path), max_length=MAX_LENGTH)
    random = np.random.default_rng(2)
    head = LinearHead(random.normal(size=(1, 64)).astype(np.float32), np.zeros(1, dtype=np.float32))
    classifier = Classifier(head, "cls+mean1")
    graph = to_float32(encoder_weights(encoder), classifier).SerializeToString()
    rows = [random.integers(5, len(tokenizer), size=length) for length in (9, 20, 33)]
    compare(open_session(graph, "cpu"), encoder, classifier, rows, longest=encoder.positions, tolerance=5e-5)
