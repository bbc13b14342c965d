"""A bundle is verified before it is used, and every problem is reported with the file's name."""

import dataclasses
import json
import shutil
import subprocess

import onnx
import pytest
from factories import list_again

from scorer.base.errors import BundleError, ProviderError, UsageError
from scorer.engine import gpu
from scorer.model.bundle import SUMS, load_bundle
from scorer.model.choice import Choice, choose
from scorer.model.loaded import LoadedModel
from scorer.model.manifest import Manifest, parse_manifest


@pytest.fixture
def copy(bundle, tmp_path):
    shutil.copytree(bundle.path, tmp_path / "copy")
    return tmp_path / "copy"


def refuse(folder):
    with pytest.raises(BundleError) as caught:
        LoadedModel(load_bundle(folder), provider="cpu")
    return str(caught.value)


def test_a_bundle_holds_the_files_of_the_contract(bundle):
    assert sorted(bundle.files) == [
        "head.safetensors", "manifest.json", "model.fp16.onnx", "model.fp32.onnx", "model.int8.onnx", "tokenizer.json",
        "weights.fp32.bin", "weights.int8.bin",
    ]  # fmt: skip
    assert sorted(path.name for path in bundle.path.iterdir()) == sorted(
        [*bundle.files, SUMS, "README.md", "confusion.png", "loss.png", "reliability.png"]
    )
    assert (bundle.path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_coreutils_can_check_a_bundle(bundle):
    check = subprocess.run(["sha256sum", "--strict", "-c", SUMS], cwd=bundle.path, capture_output=True, text=True)
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "tokenizer.json",
        "model.fp32.onnx",
        "model.fp16.onnx",
        "model.int8.onnx",
        "head.safetensors",
        "weights.fp32.bin",
        "weights.int8.bin",
    ],
)
def test_one_flipped_bit_anywhere_is_refused_with_the_files_name(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    assert refuse(copy) == (
        f"{copy / name} does not match its checksum in SHA256SUMS: it was damaged or changed. "
        "Copy the bundle again from its source."
    )


@pytest.mark.parametrize("name", ["manifest.json", "tokenizer.json", "model.int8.onnx", "SHA256SUMS"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    assert refuse(copy).startswith(f"{copy / name} cannot be read (No such file or directory)")


@pytest.mark.parametrize("name", ["README.md", "loss.png"])
def test_the_model_card_is_never_read(copy, name):
    (copy / name).unlink()
    LoadedModel(copy, provider="cpu")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"x" * 64 + b"  a",
        b"0" * 64 + b"  ../a",
        b"0" * 64 + b"  /a",
        b"0" * 64 + b" a",
        b"0" * 63 + b"  a",
        b"0" * 64 + b"  a\r",
    ],
)
def test_a_malformed_sums_line_is_refused(copy, line):
    (copy / SUMS).write_bytes((copy / SUMS).read_bytes() + line + b"\n")
    assert "SHA256SUMS, line 9: not a SHA-256 and a plain file name, or a file that is listed twice." in refuse(copy)


def test_a_file_listed_twice_is_refused(copy):
    sums = (copy / SUMS).read_bytes()
    (copy / SUMS).write_bytes(sums + sums.splitlines(keepends=True)[0])
    assert "listed twice" in refuse(copy)


def test_an_unlisted_graph_is_refused(copy):
    sums = (copy / SUMS).read_bytes().splitlines(keepends=True)
    (copy / SUMS).write_bytes(b"".join(line for line in sums if b"int8" not in line))
    assert refuse(copy).endswith("names the graph model.int8.onnx, which SHA256SUMS does not list.")


def test_the_graph_of_another_model_fails_the_golden_rows(copy, bundle_of_three, encoder, tmp_path):
    # The shapes are the same and the weights are not: only the scores themselves differ.
    manifest = json.loads((copy / "manifest.json").read_bytes())
    for row in manifest["golden"]:
        row["logits"]["int8"][0] += 0.5
    (copy / "manifest.json").write_text(json.dumps(manifest))
    list_again(copy)
    message = refuse(copy)
    assert "int8 on cpu gives logits up to 0.5000 away from those of the machine that made the bundle" in message
    assert message.endswith("Try --precision fp32.")
    LoadedModel(copy, provider="cpu", precision="fp32")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 3}, "format version 3, but this release reads 1 and 2"),
        ({"labels": ["a"]}, "labels must be two or more, all different: ['a']"),
        ({"labels": ["a", "a"]}, "labels must be two or more, all different: ['a', 'a']"),
        (
            {"positive_label": None},
            "positive_label must be set for two labels of which one is chosen, and only for them",
        ),
        ({"positive_label": "negative"}, "positive_label must be the second of the two labels"),
        ({"labels": ["a", "b", "c"], "positive_label": None}, "a golden row has 1 fp16 logits for 3 labels"),
        ({"providers": {"cpu": "fp8"}}, "providers name missing precisions: ['fp8']"),
        ({"batch_tokens": 0}, "batch_tokens must be between 1 and 16777216, not 0"),
        ({"batch_tokens": "8"}, "batch_tokens has an invalid value: '8'"),
        ({"surprise": 1}, "unexpected keyword argument 'surprise'"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(bundle, change, message):
    fields = json.loads(bundle.manifest.to_json()) | change
    with pytest.raises(BundleError) as caught:
        parse_manifest(json.dumps(fields).encode())
    assert message in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"labels": 5}'])
def test_a_malformed_manifest_is_refused(data):
    with pytest.raises(BundleError, match=r"manifest\.json cannot be used"):
        parse_manifest(data)


def test_a_manifest_reads_back_as_it_was_written(bundle):
    assert parse_manifest(bundle.manifest.to_json()) == bundle.manifest
    assert isinstance(bundle.manifest, Manifest)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tokenizer.json", "tokenizer.json cannot be used: "),
        ("model.int8.onnx", "model.int8.onnx is refused: it is not an ONNX file, or it is damaged."),
    ],
)
def test_a_listed_file_of_garbage_is_refused(copy, name, message):
    (copy / name).write_bytes(b"garbage")
    list_again(copy)
    assert message in refuse(copy)


def test_the_tokenizers_own_padding_and_truncation_are_off_in_the_file(bundle):
    settings = json.loads(bundle.files["tokenizer.json"])
    assert (settings["padding"], settings["truncation"]) == (None, None)


def test_int8_never_runs_on_cuda_and_a_bundle_without_a_graph_for_cuda_is_reported(bundle, monkeypatch):
    monkeypatch.setattr("scorer.engine.runtime.provider_problem", lambda provider, gpu=None: None)
    monkeypatch.setattr("scorer.engine.runtime.provider_remark", lambda provider: None)
    manifest = bundle.manifest
    assert choose(manifest, "auto", "auto").provider == "cuda"
    assert (choose(manifest, "cuda", "auto").precision, choose(manifest, "cpu", "auto").precision) == ("fp16", "int8")
    assert choose(manifest, "auto", "int8") == Choice("cpu", "int8", "int8 arithmetic runs on cpu only")
    with pytest.raises(ProviderError) as caught:
        choose(manifest, "cuda", "int8")
    assert str(caught.value) == (
        "int8 arithmetic runs on cpu only; use --precision fp16 (or leave it out) with cuda, or --provider cpu."
    )
    only_cpu = dataclasses.replace(manifest, providers={"cpu": "int8"})
    for nodes, reason in (("/dev/null", "the bundle tiny has no graph for cuda"), ("/dev/none", "")):
        monkeypatch.setattr(gpu, "_DEVICES", (nodes,))
        assert choose(only_cpu, "auto", "auto").reason == reason
    with pytest.raises(ProviderError, match="has no precision for cuda"):
        choose(only_cpu, "cuda", "auto")
    with pytest.raises(UsageError, match="has no precision 'fp64'"):
        choose(manifest, "cpu", "fp64")


def test_an_unknown_provider_is_refused_with_those_that_exist(bundle):
    with pytest.raises(UsageError, match=r"^there is no provider 'gpu'; use auto, cpu or cuda\.$"):
        choose(bundle.manifest, "gpu", "auto")


def test_every_product_with_a_weight_and_the_word_table_are_int8(bundle):
    graph = onnx.load_from_string(bundle.graph("int8")).graph
    assert (
        sum(node.op_type == "MatMulIntegerToFloat" for node in graph.node) == 10
    )  # six in a block, four in the last, for [CLS]
    tables = {tensor.name: tensor.data_type for tensor in graph.initializer if tensor.name.startswith("word")}
    assert tables == {"word": onnx.TensorProto.INT8, "word.scale": onnx.TensorProto.FLOAT}
