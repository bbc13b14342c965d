"""Families of encoders: each is written as PyTorch computes it, in every precision, and has the head of its classifiers."""

import numpy as np
import onnx
import pytest
import torch
import transformers
from factories import AFTER_PADDING, MAX_LENGTH, POSITIONS, randomize, reviews, tiny_tokenizer
from onnx import numpy_helper
from torch.nn import functional

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.encoder.families import FAMILIES, family_of
from export.encoder.load import freeze
from export.encoder.weights import encoder_weights
from export.errors import UnsupportedEncoder
from export.graph.classifier import graph_logits
from export.graph.fp16 import constants, dequantized, to_float16, to_half
from export.graph.fp16_emulator import half_logits
from export.graph.fp32 import to_float32
from export.graph.int8 import to_int8
from export.graph.parity import compare
from export.graph.weights_file import with_weights_files
from scorer.engine import runtime
from scorer.engine.batches import pad
from scorer.engine.runtime import open_session
from scorer.model.graph_check import check_onnx

NEW = tuple(family.name for family in FAMILIES if family.name not in ("distilbert", "bert", "roberta"))
# A graph reads a whole block and one for the first token alone.
POOLING = "cls+mean1"
SETTINGS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "gelu": functional.gelu}


def classifier(pooling=POOLING):
    width = 32 * len(pooling.split("+"))
    weight = np.random.default_rng(3).normal(size=(1, width)).astype(np.float32)
    return Classifier(LinearHead(weight, np.ones(1, dtype=np.float32)), pooling)


def frozen(config):
    """Freeze a random model of a config, which has ids for all words of the tokenizer."""
    family = "roberta" if config.model_type in AFTER_PADDING else "bert"
    tokenizer = tiny_tokenizer(family).backend_tokenizer
    config.vocab_size = max(tokenizer.get_vocab().values()) + 1
    model = transformers.AutoModel.from_config(config)
    randomize(model)
    return freeze(model, tokenizer.to_str(), name=config.model_type, max_length=MAX_LENGTH)


def assert_exact(encoder, pooling=POOLING):
    """Compare the float32 graph with PyTorch at the gate's shapes and on padded batches."""
    graph = to_float32(encoder_weights(encoder), classifier(pooling)).SerializeToString()
    random = np.random.default_rng(2)
    rows = [random.integers(5, encoder.config.vocab_size, size=length) for length in (9, 20, 33)]
    compare(open_session(graph, "cpu"), encoder, classifier(pooling), rows, longest=encoder.positions, tolerance=5e-5)


@pytest.fixture(scope="module", params=NEW)
def encoder_of(request, encoder):
    return encoder(request.param)


@pytest.fixture(scope="module")
def rows(encoder):
    """Token ids of texts; the tokenizers differ only in the names of their special tokens."""
    return encoder("bert").tokenizer.encode(reviews(40, 2, 3).texts).ids


@pytest.fixture(scope="module")
def graphs(encoder_of, rows):
    """The float32 and the int8 graph of a family."""
    weights = encoder_weights(encoder_of)
    return {"fp32": to_float32(weights, classifier()), "int8": to_int8(weights, classifier(), rows[:20])}


def test_a_family_is_loaded_and_written_as_pytorch_computes_it(encoder_of):
    assert encoder_of.positions == POSITIONS
    assert_exact(encoder_of)


@pytest.mark.parametrize("family", ["albert", "mpnet"])
def test_a_whole_last_block_is_exact_too(encoder, family):
    assert_exact(encoder(family), "mean")


def test_a_text_longer_than_the_positions_is_refused(encoder_of):
    with pytest.raises(UnsupportedEncoder, match=f"has {POSITIONS} positions, fewer than --max-length {POSITIONS + 1}"):
        freeze(encoder_of.model, encoder_of.tokenizer_json.decode(), name=encoder_of.name, max_length=POSITIONS + 1)


def test_a_rows_logits_do_not_depend_on_its_neighbours(graphs, rows):
    for graph in graphs.values():
        session = open_session(graph.SerializeToString(), "cpu")
        ids, mask = pad(rows[:9])
        together = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        np.testing.assert_allclose(together, graph_logits(graph, rows[:9]), atol=2e-5)


def test_int8_stays_close(graphs, rows):
    exact = graph_logits(graphs["fp32"], rows)
    assert np.abs(graph_logits(graphs["int8"], rows) - exact).mean() < 0.1 * exact.std()


@pytest.mark.parametrize("source", ["fp32", "int8"])
def test_fp16_stays_close_and_every_graph_passes_the_scorers_checks(encoder_of, graphs, rows, source):
    int8 = graphs["int8"] if source == "int8" else None
    half = to_half(encoder_weights(encoder_of), classifier(), rows[:20], int8)
    reference = graph_logits(half.exact, rows)
    assert np.abs(half_logits(half.graph, rows) - reference).mean() < 0.01 * reference.std()
    written, files = with_weights_files({source: graphs[source], "fp16": half.graph})
    for graph in written.values():
        check_onnx(graph, {name: len(data) for name, data in files.items()})


@pytest.mark.parametrize("source", ["fp32", "int8"])
def test_without_rounding_the_graph_for_cuda_is_the_graph_for_cpu(encoder_of, graphs, rows, source, monkeypatch):
    weights, rounded = encoder_weights(encoder_of), {}
    if source == "int8":
        rounded = constants(graphs["int8"])
        weights = dequantized(weights, rounded)
    monkeypatch.setattr("export.graph.fp16_emulator._rounded", lambda value: value)
    half, expected = to_float16(weights, classifier(), rounded), to_float32(weights, classifier())
    np.testing.assert_allclose(half_logits(half, rows), graph_logits(expected, rows), atol=1e-4)


def test_onnxruntime_opens_the_graph_for_cuda_and_converts_its_weights_once(encoder_of, tmp_path):
    options = runtime.session_options("cpu")
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    graph = to_float16(encoder_weights(encoder_of), classifier())
    open_session(graph.SerializeToString(), "cpu", options=options)
    graph = onnx.load(tmp_path / "optimized.onnx").graph
    constant = {tensor.name for tensor in graph.initializer}
    left = [node.name for node in graph.node if set(filter(None, node.input)) <= constant]
    # The CPU has no float16 products, so onnxruntime inserts conversions back to float32 for it, which it folds or not.
    assert not [name for name in left if not name.startswith("InsertedPrecisionFreeCast_")]


@pytest.mark.parametrize(
    "name", ["gelu_python", "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh", "relu"]
)
def test_every_activation_is_exact_and_fp16_stays_close(name, rows):
    encoder = frozen(transformers.BertConfig(hidden_act=name, max_position_embeddings=POSITIONS, **SETTINGS))
    assert_exact(encoder)
    half = to_half(encoder_weights(encoder), classifier(), rows[:20])
    reference = graph_logits(half.exact, rows)
    assert np.abs(half_logits(half.graph, rows) - reference).mean() < 0.01 * reference.std()


def test_an_electra_whose_embeddings_have_the_hidden_size_has_no_projection():
    encoder = frozen(transformers.ElectraConfig(embedding_size=32, max_position_embeddings=POSITIONS, **SETTINGS))
    assert encoder_weights(encoder).projection is None
    assert_exact(encoder)


@pytest.mark.parametrize(("layers", "groups", "inner"), [(3, 1, 1), (3, 2, 1), (2, 2, 2)])
def test_groups_of_shared_blocks_are_exact_and_each_matrix_is_written_once(layers, groups, inner, rows):
    settings = {**SETTINGS, "num_hidden_layers": layers, "num_hidden_groups": groups, "inner_group_num": inner}
    encoder = frozen(transformers.AlbertConfig(embedding_size=16, max_position_embeddings=POSITIONS, **settings))
    assert encoder.layers == layers * inner
    for pooling in ("cls", "mean"):
        assert_exact(encoder, pooling)
    weights = encoder_weights(encoder)
    for graph in (to_float32(weights, classifier("mean")), to_int8(weights, classifier("mean"), rows[:20])):
        matrices = [tensor.name for tensor in graph.graph.initializer if tensor.name.endswith(".ffn_in.weight")]
        assert matrices == [f"block.{number}.ffn_in.weight" for number in sorted(set(weights.sources))]
        assert len(matrices) == groups * inner


def test_a_shared_matrix_in_int8_has_the_same_extra_channels_for_every_input(rows):
    """One block's outlier gives all of them an extra channel, and each input keeps a span of its own."""
    encoder = frozen(transformers.AlbertConfig(embedding_size=16, max_position_embeddings=POSITIONS, **SETTINGS))
    encoder.model.encoder.albert_layer_groups[0].albert_layers[0].full_layer_layer_norm.weight.data[3] *= 30
    graph = to_int8(encoder_weights(encoder), classifier("mean"), rows[:20])
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    assert found["projected.channels"].tolist() == found["block.0.ffn_norm.channels"].tolist()
    assert 3 in found["projected.channels"]
    assert found["projected.scale"] != found["block.0.ffn_norm.scale"]
    exact = graph_logits(to_float32(encoder_weights(encoder), classifier("mean")), rows)
    assert np.abs(graph_logits(graph, rows) - exact).mean() < 0.1 * exact.std()


def test_the_bias_of_a_pair_depends_on_its_distance_alone(encoder):
    """The buckets are those of Raffel et al. 2020: eight near distances a side, then wider ones, then all beyond 128."""
    config = transformers.MPNetConfig(max_position_embeddings=302, **SETTINGS)
    found = frozen(config)
    table = found.model.get_parameter("encoder.relative_attention_bias.weight").numpy()
    bias = encoder_weights(found).relative_bias
    assert bias.shape == (599, 4)
    own = 299
    for distance, bucket in {0: 0, 1: 17, -1: 1, -7: 7, -8: 8, 7: 23, 128: 31, -128: 15, 299: 31, -299: 15}.items():
        np.testing.assert_array_equal(bias[own + distance], table[bucket])


def test_positions_begin_after_the_padding_id():
    """MPNet has its own padding id, whatever its config states."""
    for family in AFTER_PADDING:
        config = transformers.AutoConfig.for_model(
            family, max_position_embeddings=POSITIONS, pad_token_id=3, **SETTINGS
        )
        encoder = frozen(config)
        assert encoder.positions == POSITIONS - (2 if family == "mpnet" else 4)
        weight = encoder.model.get_parameter("embeddings.position_embeddings.weight").numpy()
        assert len(encoder_weights(encoder).positions) == encoder.positions
        assert_exact(encoder)
        assert weight.shape[0] == POSITIONS


@pytest.mark.parametrize(
    "config",
    [
        transformers.BertConfig(hidden_act="silu"),
        transformers.BertConfig(is_decoder=True),
        transformers.BertConfig(position_embedding_type="relative_key"),
        transformers.RobertaConfig(pad_token_id=None),
        transformers.ElectraConfig(hidden_size=64, num_attention_heads=5),
        transformers.DebertaV2Config(),
        transformers.ModernBertConfig(),
        transformers.GPT2Config(),
    ],
    ids=lambda config: config.model_type,
)
def test_an_encoder_that_cannot_be_written_belongs_to_no_family(config):
    assert family_of(config) is None


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_head_of_a_family_is_that_of_its_classifiers(family, encoder):
    config = encoder(family.name).config
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    randomize(model)
    assert family_of(config) is family
    ids = torch.tensor([[5, 9, 12, 20], [6, 7, 8, 9]])
    with torch.no_grad():
        x = model.base_model(ids).last_hidden_state[:, 0]
        x = ACTIVATIONS[family.head.activation](model.get_submodule(family.head.dense)(x))
        found = model.get_submodule(family.head.out)(x)
        torch.testing.assert_close(found, model(ids).logits)
