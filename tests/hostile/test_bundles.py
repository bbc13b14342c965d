"""Damaged or malicious bundles: exit code 5, quickly, with the file named, and nothing else opened."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from factories import ROOT, list_again
from onnx import TensorProto, helper, numpy_helper

from scorer import Scorer
from scorer.base.errors import BundleError, UsageError
from scorer.model.bundle import SUMS, parse_sums
from scorer.model.cleaning import CLEANING
from scorer.model.graph_check import UnfitGraph, check_onnx
from scorer.model.loaded import LoadedModel

GRAPH = "model.fp32.onnx"
SECRET = b"not for the model\n" * 1000


@pytest.fixture
def copy(bundle, tmp_path):
    shutil.copytree(bundle.path, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def refused(score, copy, tmp_path):
    """Score with the copy, check that it is refused properly, and return the message."""
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n')

    def refuse():
        start = time.process_time()  # CPU time, so that other processes on the machine do not count
        result = score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--model", copy, "--precision", "fp32")
        assert time.process_time() - start < 30  # not a promise of speed, only that it ends at all
        assert result.code == 5, result.err
        assert str(copy) in result.err
        assert "Error: unexpected" not in result.err
        assert len(result.err) < 3000
        assert not (tmp_path / "out.csv").exists()
        return result.err

    return refuse


def rewrite(folder, change):
    """Change the fp32 graph, and update its checksum."""
    model = onnx.load_from_string((folder / GRAPH).read_bytes())
    changed = change(model)
    data = changed if isinstance(changed, bytes) else model.SerializeToString()
    (folder / GRAPH).write_bytes(data)
    list_again(folder)


def rewrite_manifest(folder, change):
    fields = json.loads((folder / "manifest.json").read_bytes())
    change(fields)
    (folder / "manifest.json").write_text(json.dumps(fields))
    list_again(folder)


# Damage


def damaged(folder, chance, how):
    """Flip one bit of a file in the bundle, or cut the file, and return its name."""
    names = [*parse_sums((folder / SUMS).read_bytes(), folder), SUMS]
    sizes = [(folder / name).stat().st_size for name in names]
    name = chance.choices(names, sizes)[0] if how == "flip" and chance.random() < 0.5 else chance.choice(names)
    data = bytearray((folder / name).read_bytes())
    at = chance.randrange(len(data))
    if how == "flip":
        data[at] ^= 1 << chance.randrange(8)
    (folder / name).write_bytes(data if how == "flip" else data[:at])
    return name


def test_200_flipped_bits_and_20_truncations_are_refused(bundle, copy, refused):
    chance = random.Random(5)
    named = 0
    for how in ["flip"] * 200 + ["cut"] * 20:
        name = damaged(copy, chance, how)
        named += f"{copy / name}" in refused() or name == SUMS  # damaged sums may name a file that does not exist
        shutil.copy(bundle.path / name, copy / name)
    assert named == 220


@pytest.mark.parametrize("data", [b"", b"\n", b"0" * 64 + b"  manifest.json", b"\xff" * 100, b"0" * 70_000])
def test_malformed_sums_are_refused(copy, refused, data):
    (copy / SUMS).write_bytes(data)
    assert SUMS in refused()


def test_sums_without_their_last_line_end_are_refused(copy, refused):
    (copy / SUMS).write_bytes((copy / SUMS).read_bytes()[:-1])
    assert "line 8: not a SHA-256 and a plain file name" in refused()


@pytest.mark.parametrize("name", ["manifest.json", GRAPH, SUMS])
def test_a_pipe_a_folder_or_a_device_is_refused_without_waiting(copy, refused, name):
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)):
        path = copy / name
        path.rmdir() if path.is_dir() else path.unlink()
        make(path)
        assert "is not a regular file" in refused() or "Is a directory" in refused()


def test_a_huge_file_is_not_read(copy, refused):
    for name, size in (("manifest.json", 1 << 40), (GRAPH, 1 << 40), ("tokenizer.json", 1 << 30), (SUMS, 1 << 30)):
        before = (copy / name).read_bytes()
        os.truncate(copy / name, size)
        assert f"{copy / name} has {size:,} bytes; at most" in refused()
        (copy / name).write_bytes(before)


# Manifests


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update(labels=["a", "b", "c"], positive_label=None), "golden row has 1 fp16 logits for 3 labels"),
        (lambda m: m.update(labels=["a", "\x1b[2Jb"], positive_label="\x1b[2Jb"), "text that can be printed"),
        (lambda m: m.update(labels=[1, 2], positive_label=2), "labels has an invalid value"),
        (lambda m: m.update(max_length=10**9), "max_length must be between 1 and 32768"),
        (lambda m: m.update(max_length=500, golden=m["golden"][-1:]), "cannot compute 500 tokens with id"),
        (lambda m: m.update(max_length="24"), "max_length has an invalid value"),
        (lambda m: m.update(max_length=2), "leaves no room for text"),
        (lambda m: m.update(truncation="middle"), "truncation must be one of head, tail, head+tail"),
        (lambda m: m.update(truncation="tail"), "needs max_tokens above max_length"),
        (lambda m: m.update(max_tokens=23), "max_tokens must be between max_length and 32768"),
        (lambda m: m.update(max_tokens=10**9), "max_tokens must be between max_length and 32768"),
        (lambda m: m.update(max_length=1, max_tokens=32768), "max_tokens (32768) is too large for a max_length of 1"),
        (lambda m: m.update(calibration={"temperatur": 3.0}), "calibration has no temperature"),
        (lambda m: m.update(calibration={"temperature": 0}), "a temperature must be between"),
        (lambda m: m.update(calibration={"temperature": [1]}), "a temperature must be between"),
        (lambda m: m.update(calibration=[]), "calibration has an invalid value"),
        (lambda m: m["precisions"]["fp32"].update(tolerance=float("nan")), "NaN is not JSON"),
        (lambda m: m["precisions"]["fp32"].update(tolerance=-1), "a tolerance must be at least 0"),
        (lambda m: m["precisions"]["fp32"].update(tolerance=None), "tolerance has an invalid value"),
        (lambda m: m["precisions"]["fp32"].update(file=["x"]), "file has an invalid value"),
        (lambda m: m["precisions"]["fp32"].update(file="../x.onnx"), "names the graph ../x.onnx, which"),
        (lambda m: m["precisions"]["fp32"].update(file="tokenizer.json"), "it is not an ONNX file"),
        (lambda m: m["golden"].extend(m["golden"] * 100), "golden rows must be at most 100, with at most 10000 characters each"),
        (lambda m: m["golden"][0].update(text="x" * 20_000), "golden rows must be at most 100, with at most 10000 characters each"),
        (lambda m: m["golden"][0]["logits"].update(fp32=[1e9]), "cannot be trusted here"),
        (lambda m: m["golden"][0]["logits"].update(fp32=[10**400]), "manifest.json cannot be used"),
        (lambda m: m.update(golden=[]), "no golden rows for fp32"),
        (lambda m: m.update(name=""), "text that can be printed"),
        (lambda m: m.update(format_version=99), "format version 99"),
        (lambda m: m["golden"][0].update(text="\ud800"), "surrogates not allowed"),
        (lambda m: m.update({"\x1b[2J": 1}), "\\x1b[2J"),
        (lambda m: m.update({"x" * 1_000_000: 1}), "manifest.json cannot be used"),
    ],
)  # fmt: skip
def test_a_malicious_manifest_is_refused(copy, refused, change, says):
    rewrite_manifest(copy, change)
    assert says in refused()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update(windows=None), "windows must be set for the truncation 'windows', and only for it"),
        (lambda m: m.pop("windows"), "windows must be set for the truncation 'windows', and only for it"),
        (lambda m: m.update(truncation="head"), "windows must be set for the truncation 'windows', and only for it"),
        (lambda m: m.update(needs=[one for one in m["needs"] if one != "windows"]), "do not match its contents"),
        (lambda m: m.update(windows=[]), "manifest.json cannot be used"),
        (lambda m: m.update(windows=3), "manifest.json cannot be used"),
        (lambda m: m["windows"].update(width=20), "manifest.json cannot be used"),
        (lambda m: m["windows"].pop("stride"), "manifest.json cannot be used"),
        (lambda m: m["windows"].update(stride="16"), "stride has an invalid value"),
        (lambda m: m["windows"].update(stride=16.0), "stride has an invalid value"),
        (lambda m: m["windows"].update(stride=0), "stride of windows must be at least 1/8 of max_length, not 0"),
        (lambda m: m["windows"].update(stride=-16), "stride of windows must be at least 1/8 of max_length, not -16"),
        (lambda m: m["windows"].update(stride=23), "a window's stride must be between 1 and 22 tokens, not 23"),
        (lambda m: m["windows"].update(stride=10**30), "a window's stride must be between 1 and 22 tokens"),
        (lambda m: m["windows"].update(stride=19), "4 windows of manifest.json cover 81 tokens, but max_tokens is 72"),
        (lambda m: m["windows"].update(most=5), "5 windows of manifest.json cover 88 tokens, but max_tokens is 72"),
        (lambda m: m.update(max_tokens=71), "4 windows of manifest.json cover 72 tokens, but max_tokens is 71"),
        (lambda m: m.update(max_tokens=None), "needs max_tokens above max_length"),
        (lambda m: m["windows"].update(most=1), "a text may have 2 to 5461 windows of 24 tokens, not 1"),
        (lambda m: m["windows"].update(most=10**9), "a text may have 2 to 5461 windows of 24 tokens, not 1000000000"),
        (lambda m: m["windows"].update(most=True), "most has an invalid value"),
        (lambda m: m["windows"].update(combination="sum"), "combination has an invalid value: 'sum'"),
        (lambda m: m["windows"].update(combination="max"), "needs a model that gives any number of labels"),
        (lambda m: m.update(max_length=2), "has no room besides 2 special ones"),
        (lambda m: m.update(max_length=80, max_tokens=128, golden=m["golden"][-1:]), "the graph cannot compute 128 tokens with id"),
    ],
)  # fmt: skip
def test_windows_that_do_not_fit_are_refused(windows_bundle, copy, refused, change, says):
    shutil.copytree(windows_bundle.path, copy, dirs_exist_ok=True)
    rewrite_manifest(copy, change)
    assert says in refused()


def test_other_windows_than_those_of_the_golden_rows_are_refused(windows_bundle, copy, refused):
    shutil.copytree(windows_bundle.path, copy, dirs_exist_ok=True)
    text = " ".join(["good", "bad", "film", "awful", "plot"] * 12)
    scorer = LoadedModel(windows_bundle, provider="cpu", precision="fp32")
    logits = scorer.whole.logits(scorer.tokenizer.encode([text]).ids)[0].tolist()

    def with_long_row(fields):
        fields["golden"].append({"text": text, "logits": {"fp32": logits}})

    rewrite_manifest(copy, with_long_row)
    assert LoadedModel(copy, provider="cpu", precision="fp32").golden_difference < 1e-3
    rewrite_manifest(copy, lambda fields: (fields.update(max_tokens=60), fields["windows"].update(stride=12)))
    assert "cannot be trusted here" in refused()


def test_a_manifest_without_precisions_offers_no_precision(copy):
    rewrite_manifest(copy, lambda fields: fields.update(providers={}, precisions={}, golden=[]))
    with pytest.raises(UsageError, match="has no precision 'fp32'"):
        LoadedModel(copy, provider="cpu", precision="fp32")


@pytest.mark.parametrize(
    "data", [b"[" * 200_000, b'{"a":' * 100_000, b"1" * 100_000, b'{"labels": 1e999}', b"\xff\xfe", b"null"]
)
def test_a_manifest_that_is_a_bomb_is_refused(copy, refused, data):
    (copy / "manifest.json").write_bytes(data)
    list_again(copy)
    assert f"{copy / 'manifest.json'} cannot be used" in refused()


# Tokenizers


def test_another_models_tokenizer_is_refused(copy, refused):
    tokenizer = json.loads((copy / "tokenizer.json").read_bytes())
    words = tokenizer["model"]["vocab"]
    same = dict(words)
    for number in range(1000):  # golden rows notice no change
        words[f"new{number}"] = len(same) + 1 + number
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    list_again(copy)
    assert "so graph, manifest and tokenizer do not belong to the same model" in refused()
    ids = sorted(same.values())[5:]
    tokenizer["model"]["vocab"] = {
        word: ids[-1] + 5 - number if number in ids else number for word, number in same.items()
    }
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    list_again(copy)
    assert "cannot be trusted here" in refused()


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[" * 100_000, b'{"normalizer":' + b'{"type":"Sequence","normalizers":[' * 50_000, b"\x00" * 100],
)
def test_an_invalid_tokenizer_is_refused(copy, refused, data):
    (copy / "tokenizer.json").write_bytes(data)
    list_again(copy)
    assert "tokenizer.json cannot be used" in refused()


def doubling(number):
    return [{"type": "Replace", "pattern": {"Regex": ""}, "content": "e"}] * number


@pytest.mark.parametrize(
    "normalizer",
    [
        {"type": "Sequence", "normalizers": doubling(45)},
        {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": doubling(5)}] * 3},
        {"type": "Replace", "pattern": {"String": "e"}, "content": "e" * 1_000_000},
        {"type": "Replace", "pattern": {"Regex": "("}, "content": ""},
        {"type": "Sequence", "normalizers": [{**step.normalizer, "content": "ee"} for step in CLEANING]},
        {"type": "Sequence", "normalizers": [{**CLEANING[0].normalizer, "pattern": {"Regex": "e|"}}] * 9},
        {"type": "Replace", "pattern": {"Regex": "e"}, "content": "..."},
        {"type": "Precompiled", "precompiled_charsmap": "AAAAAAAAAAAA"},
    ],
)
def test_a_tokenizer_that_makes_a_text_grow_or_panics_is_refused(copy, refused, normalizer):
    tokenizer = json.loads((copy / "tokenizer.json").read_bytes())
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer | {"normalizer": normalizer}))
    list_again(copy)
    message = refused()
    assert "tokenizer.json cannot be used" in message
    assert "panicked at" not in message


def test_a_tokenizer_without_its_unknown_token_is_refused(copy, refused):
    tokenizer = json.loads((copy / "tokenizer.json").read_bytes())
    tokenizer["model"]["unk_token"] = "[NOT THERE]"
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    list_again(copy)
    assert "tokenizer.json cannot be used" in refused()


# Graphs


def external(model, location, **entries):
    """Move the head's weight out of the graph."""
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "head.weight")
    data = numpy_helper.to_array(tensor).tobytes()
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": str(len(data)), **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return data


def test_a_tensor_in_a_listed_file_is_used_from_memory(bundle, copy):
    before = Scorer(bundle, provider="cpu", precision="fp32").score(["good", "bad film"]).probabilities
    moved = []
    rewrite(copy, lambda model: moved.append(external(model, "weights.bin")))
    (copy / "weights.bin").write_bytes(moved[0])
    list_again(copy, "weights.bin")
    scorer = Scorer(copy, provider="cpu", precision="fp32")
    (copy / "weights.bin").write_bytes(b"\0" * len(moved[0]))
    np.testing.assert_array_equal(scorer.score(["good", "bad film"]).probabilities, before)


OUTSIDE = {
    "parent folder": {"location": "../secret"},
    "absolute path": {"location": "/etc/passwd"},
    "file in the current folder": {"location": "secret"},
    "nested path": {"location": "manifest.json/../../secret"},
    "no location": {"location": ""},
    "onnxruntime's mark for an address in memory": {"location": "*/_ORT_MEM_ADDR_/*"},
    "listed, but beyond its end": {"location": "head.safetensors", "offset": "100000"},
    "listed, with a length that is not the tensor's": {"location": "head.safetensors", "length": "4"},
    "listed, before its beginning": {"location": "head.safetensors", "offset": "-64"},
    "listed, at a place beyond all numbers": {"location": "head.safetensors", "offset": "9" * 40},
    "listed, with more to say": {"location": "head.safetensors", "checksum": "0"},
}


def test_one_region_of_a_file_cannot_serve_for_any_number_of_tensors(copy, refused):
    def again(model):
        first = next(tensor for tensor in model.graph.initializer if tensor.external_data)
        for number in range(1000):
            model.graph.initializer.add().CopyFrom(first)
            model.graph.initializer[-1].name = f"again.{number}"

    rewrite(copy, again)
    assert "larger than the files that hold them" in refused()


@pytest.mark.parametrize("entries", OUTSIDE.values(), ids=OUTSIDE)
def test_a_tensor_outside_the_listed_files_is_refused(copy, refused, tmp_path, monkeypatch, entries):
    for place in (tmp_path / "secret", tmp_path / "cwd" / "secret"):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(SECRET)
    monkeypatch.chdir(tmp_path / "cwd")
    rewrite(copy, lambda model: [external(model, **entries)])
    assert f"{copy / GRAPH} is refused: it refers to a tensor" in refused()


def with_node(*arguments, **attributes):
    return lambda model: model.graph.node.append(helper.make_node(*arguments, **attributes))


def in_attribute(model):
    tensor = numpy_helper.from_array(np.zeros(4, np.float32))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="head.safetensors")
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def in_subgraphs(model, depth=1, width=1, node=None):
    body = helper.make_graph(
        [node or helper.make_node("Identity", ["input_ids"], ["o"])],
        "b",
        [],
        [helper.make_tensor_value_info("o", 7, None)],
    )
    for _ in range(depth):
        inner = helper.make_node("If", ["c"], ["o"], then_branch=body, else_branch=body)
        body = helper.make_graph([inner] * width, "b", [], [helper.make_tensor_value_info("o", 7, None)])
    model.graph.node.append(helper.make_node("If", ["c"], ["o"], then_branch=body, else_branch=body))


def with_sparse(model):
    values = helper.make_tensor("s", 1, [1], [1.0])
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, helper.make_tensor("i", 7, [1], [0]), [10**9])
    )


def with_function(model):
    model.functions.append(helper.make_function("here", "f", ["x"], ["y"], [], [helper.make_opsetid("", 21)]))


def empty_nodes(model):
    return onnx.ModelProto().SerializeToString() + b"\x3a\x80\x89\x7a" + b"\x0a\x00" * 1_000_000


def larger(inside):
    """Give an internal or external tensor dimensions larger than any data."""

    def change(model):
        tensors = (tensor for tensor in model.graph.initializer if bool(tensor.raw_data) == inside)
        next(tensors).dims.extend([2**31, 2**31])

    return change


GRAPHS = {
    "unknown domain": (with_node("Evil", ["input_ids"], ["x"], domain="evil.example"), "the domain 'evil.example'"),
    "unknown domain in a subgraph": (lambda m: in_subgraphs(m, node=helper.make_node("E", [], ["o"], domain="evil")), "the domain 'evil'"),
    "unknown domain imported": (lambda m: m.opset_import.append(helper.make_opsetid("evil", 1)), "the domain 'evil'"),
    "training domain": (lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx.training", 1)), "the domain 'ai.onnx.training'"),
    "EPContext": (with_node("EPContext", [], ["x"], domain="com.microsoft", embed_mode=0, ep_cache_context="../secret"), "the operator 'EPContext'"),
    "Loop": (with_node("Loop", ["n", "c"], ["x"]), "the operator 'Loop'"),
    "Scan": (with_node("Scan", ["n"], ["x"]), "the operator 'Scan'"),
    "RandomNormal": (with_node("RandomNormal", [], ["x"], shape=[2]), "the operator 'RandomNormal'"),
    "SequenceMap": (with_node("SequenceMap", ["s"], ["x"]), "the operator 'SequenceMap'"),
    "local function": (with_function, "field 25 in a ModelProto"),
    "sparse tensor": (with_sparse, "field 15 in a GraphProto"),
    "external tensor in an attribute": (in_attribute, "not among its initializers"),
    "subgraphs 30 deep": (lambda m: in_subgraphs(m, 12), "nested deeper"),
    "subgraphs that double": (lambda m: in_subgraphs(m, 4, 12), "expands to more parts"),
    "a million empty nodes": (empty_nodes, "expands to more parts"),
    "no graph": (lambda m: onnx.ModelProto(ir_version=10).SerializeToString(), "it has no graph"),
    "cut": (lambda m: m.SerializeToString()[:-7], "or it is truncated"),
    "onnxruntime's own format": (lambda m: b"\x18\x00\x00\x00ORTM" + b"\x00" * 100, "is refused"),
    "a length beyond the end": (lambda m: b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "or it is truncated"),
    "a number without end": (lambda m: b"\x08" + b"\xff" * 30, "or it is damaged"),
    "no output called logits": (lambda m: setattr(m.graph.output[0], "name", m.graph.node[0].output[0]), "is refused"),
    "an input too many": (lambda m: m.graph.input.append(helper.make_tensor_value_info("more", 1, [1])), "is refused"),
    "operator that is not there": (with_node("NoSuchOperator", ["input_ids"], ["x"]), "the operator 'NoSuchOperator'"),
    "dimensions beyond all memory": (larger(inside=True), "refuses the graph"),
    "dimensions beyond the file of weights": (larger(inside=False), "does not contain"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "says"), GRAPHS.values(), ids=GRAPHS)
def test_a_malicious_graph_is_refused(copy, refused, change, says):
    rewrite(copy, change)
    assert says in refused()


def memory_bomb(model, rows, generator):
    """Add zero times the sum of ``rows`` times ``rows`` numbers, made of a few, to the logits."""
    add, node = model.graph.initializer.append, helper.make_node
    add(numpy_helper.from_array(np.ones((rows, 1), np.float32), "bomb.column"))
    add(numpy_helper.from_array(np.ones((1, rows), np.float32), "bomb.row"))
    add(numpy_helper.from_array(np.array([0.0], np.float32), "bomb.zero"))
    last = next(node for node in model.graph.node if "logits" in node.output)
    last.output[0] = "before"
    add(numpy_helper.from_array(np.array([rows, rows]), "bomb.shape"))
    for name, value in (("start", 0.0), ("end", float(rows) ** 2), ("step", 1.0)):
        add(numpy_helper.from_array(np.array(value, np.float32), f"bomb.{name}"))
    inputs = {
        "Mul": ["bomb.column", "bomb.row"],
        "Expand": ["bomb.zero", "bomb.shape"],
        "Tile": ["bomb.column", "bomb.shape"],
        "ConstantOfShape": ["bomb.shape"],
        "Range": ["bomb.start", "bomb.end", "bomb.step"],
    }
    model.graph.node.append(node(generator, inputs[generator], ["bomb"]))
    model.graph.node.append(node("ReduceSum", ["bomb"], ["bomb.sum"], keepdims=0))
    model.graph.node.append(node("Mul", ["bomb.sum", "bomb.zero"], ["bomb.nothing"]))
    model.graph.node.append(node("Add", ["before", "bomb.nothing"], ["logits"]))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited while loading on Linux only")
@pytest.mark.parametrize("rows", [55_000, 1_000_000])  # 12 GB, 4 TB
@pytest.mark.parametrize("generator", ["Mul", "Expand", "Tile", "ConstantOfShape", "Range"])
def test_a_graph_that_wants_all_memory_is_refused(copy, refused, rows, generator):
    rewrite(copy, lambda model: memory_bomb(model, rows, generator))
    own = "|Tile output tensor would require more" if generator == "Tile" else ""  # onnxruntime has its own limit there
    assert re.search(rf"needs more than \d\.\d GB to be loaded|onnxruntime [\d.]+ refuses the graph{own}", refused())


def test_a_wrong_wire_type_hides_no_domain():
    # Protobuf does not read the second field as a domain, so the first one counts.
    node = b"\x22\x01E\x3a\x04evil" + b"\x39" + b"\0" * 8
    graph = b"\x0a" + bytes([len(node)]) + node
    with pytest.raises(UnfitGraph):
        check_onnx(b"\x3a" + bytes([len(graph)]) + graph, {})


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_the_default_bundle_passes(precision):
    folder = ROOT / "models" / "default"
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert check_onnx((folder / f"model.{precision}.onnx").read_bytes(), sizes) == {"weights.int8.bin"}


def test_the_library_refuses_an_unreadable_bundle_as_well(copy):
    rewrite(copy, lambda model: b"garbage")
    with pytest.raises(BundleError, match="is not an ONNX file"):
        LoadedModel(copy, provider="cpu")


# System calls


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace: install Debian's package")
def test_nothing_outside_the_bundle_is_opened(copy, tmp_path):
    """Every file that `score` opens or looks for belongs to it, the system or the bundle, or was named by the user."""
    if subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this process may not be traced")
    (tmp_path / "cwd").mkdir()
    (tmp_path / "cwd" / "in.jsonl").write_text('{"text": "good"}\n')
    for place in (tmp_path / "secret", tmp_path / "cwd" / "secret"):
        place.write_bytes(SECRET)
    moved = []
    rewrite(copy, lambda model: moved.append(external(model, "weights.bin")))
    (copy / "weights.bin").write_bytes(moved[0])
    list_again(copy, "weights.bin")
    assert opened_by_score(copy, tmp_path, code=0) == set()  # a valid bundle
    for location in ("../secret", "secret", "/etc/shadow"):
        rewrite(copy, lambda model, location=location: set_location(model, location))
        assert opened_by_score(copy, tmp_path, code=5) == set()


def set_location(model, location):
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = location if entry.key == "location" else entry.value


def opened_by_score(bundle, tmp_path, code):
    """Return the opened paths that belong neither to the system, nor to Python, nor to the run."""
    trace, cwd = tmp_path / "trace", tmp_path / "cwd"
    command = ["strace", "-f", "-qq", "-s", "4096", "-e", "trace=open,openat,openat2", "-o", trace]
    command += [sys.executable, "-m", "scorer", "in.jsonl", "-o", "out.csv", "--model", bundle, "--precision", "fp32"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCORE_PROVIDER": "cpu"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    paths = {
        os.path.normpath(cwd / path) for path in re.findall(r'open(?:at2?)?\((?:[^"]*, )?"([^"]*)"', trace.read_text())
    }
    assert str(bundle / "manifest.json") in paths  # the trace does show opened files
    system = (
        "/usr/",
        "/lib",
        "/etc/ld.so",
        "/etc/localtime",
        "/etc/os-release",
        "/proc/",
        "/sys/",
        "/dev/",
        sys.prefix,
        sys.base_prefix,
        str(ROOT),
    )
    own = {str(bundle / name) for name in [*parse_sums((bundle / SUMS).read_bytes(), bundle), SUMS]} | {str(cwd)}
    return {
        path for path in paths - own
        if not path.startswith(system) and not re.fullmatch(rf"{re.escape(str(cwd))}/(in\.jsonl|\.?out\.csv.*)", path)
    }  # fmt: skip
