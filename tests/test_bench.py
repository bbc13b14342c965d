"""Benchmarks, tried on little data, so that minutes on a GPU are not spent on finding typos."""

import json
import os
import subprocess
import sys

import pyarrow
import pyarrow.parquet
import transformers
from factories import ROOT, randomize, reviews, tiny_tokenizer


def test_the_benchmark_for_gpus_runs_from_end_to_end(tmp_path):
    command = [sys.executable, ROOT / "bench" / "gpu.py", "--dry-run", "--output", tmp_path / "report.json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert (report.pop("script"), report.pop("settings")) == ("gpu.py", {"dry_run": True, "seconds": None})
    for name, section in report.items():
        assert "skipped" not in section, name
        for part in (section, *(value for value in section.values() if isinstance(value, dict))):
            assert part.get("failed") is None, f"{name}: {part['failed']}"
    assert report["tiny file"]["rows"] == 64
    assert report["tiny file"]["phases_s"].keys() == {"read", "tokenize", "compute", "write"}
    assert report["accuracy"]["probability_most"] < 5e-3
    assert report["tiny exactness"]["device_most"] < 0.05
    assert {"median", "least", "most"} == report["tiny model"]["this project, fp16"].keys()


def test_the_benchmark_of_the_cache_compares_nights(bundle, tmp_path):
    texts = tmp_path / "texts.parquet"
    sentences = [f"{text} {number}" for number, text in enumerate(reviews(40, 2, 1).texts)]
    pairs = [f"{one}. {other}" for one in sentences for other in sentences]
    pyarrow.parquet.write_table(pyarrow.table({"text": pairs}), texts)
    sizes = ["--rows", "600", "--full-rows", "200", "--new-rows", "50", "--rounds", "2"]
    command = [sys.executable, ROOT / "bench" / "cache.py", texts, *sizes, "--folder", tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCORE_MODEL": str(bundle.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["changed"]["rows"], report["changed"]["changed"], report["changed"]["bytes"]) == (600, 6, "equal")
    assert report["changed"]["unchanged"]["median"] > 0
    assert report["new"].keys() >= {"with", "without", "cost"}


def test_the_benchmark_of_a_large_cache_measures_each_step(tmp_path):
    command = [
        sys.executable,
        ROOT / "bench" / "cache_size.py",
        "--entries",
        "3000",
        "--sample",
        "500",
        "--batch",
        "256",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--folder", tmp_path], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout.splitlines()[-1])["steps"]
    assert (steps["fill"]["added"], steps["add"]["added"], steps["add beyond the limit"]["removed"]) == (2500, 500, 500)
    assert steps["look up in order"]["rate"] > 0


def test_the_benchmark_of_bundles_compares_them(bundle, tmp_path):
    texts = tmp_path / "texts.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": reviews(20, 2, 1).texts}), texts)
    command = [sys.executable, ROOT / "bench" / "bundles.py", texts, bundle.path, bundle.path, "--rounds", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2].endswith(" | 1.000 |")
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["script"] == "bundles.py"
    assert report["settings"]["bundles"] == [bundle.path.name] * 2
    assert report["machine"].keys() >= {"cpu", "flags", "cores", "versions"}
    assert report["machine"]["cpu"] in done.stdout.splitlines()[-3]
    assert report["bundles"][str(bundle.path)]["reviews_per_s"]["median"] > 0


def test_the_benchmark_of_forecasts_compares_them_with_runs(bundle, tmp_path):
    texts = tmp_path / "texts.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": reviews(40, 2, 1).texts}), texts)
    kinds = ["--only", "half cached,gz,Parquet,rejects,other precision", "--size", "0.01", "--precision", "fp32"]
    command = [sys.executable, ROOT / "bench" / "forecast.py", texts, "--model", bundle.path, *kinds]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["kinds"]
    assert len(found) == 5
    for one in found.values():
        assert one["seconds"] > 0
        assert one["counts"] == 0  # the samples hold all texts
        assert set(one["outside"]) <= {"seconds"}


def test_the_benchmark_of_families_compares_both_kinds_of_graphs(tmp_path):
    texts = tmp_path / "texts.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": reviews(4, 2, 1).texts}), texts)
    quick = ["--only", "distilbert", "--layers", "1", "--reviews", "4", "--rounds", "1"]
    command = [sys.executable, ROOT / "bench" / "families.py", texts, *quick]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["families"]["distilbert"]["contenders"]
    assert {"written, fp32", "exported, fp32", "plain, fp32, a row a run"} < found.keys()
    assert all(one["difference_from_pytorch"] < 1e-5 for one in found.values())


def save_encoder(folder, layers=3):
    """Write a tiny encoder into a folder."""
    tokenizer = tiny_tokenizer("bert")
    tokenizer.save_pretrained(folder)
    settings = {"hidden_size": 16, "num_hidden_layers": layers, "num_attention_heads": 2, "intermediate_size": 32}
    vocabulary = max(tokenizer.get_vocab().values()) + 1
    model = transformers.BertModel(transformers.BertConfig(vocab_size=vocabulary, **settings))
    randomize(model)
    model.save_pretrained(folder)
    return folder


def test_the_benchmark_of_windows_compares_the_ways_to_read_long_texts(tmp_path):
    encoder = save_encoder(tmp_path / "encoder", layers=6)
    given = reviews(24, 2, 1)
    texts = [" ".join([text] * (1, 100, 300)[number % 3]) for number, text in enumerate(given.texts)]
    table = pyarrow.table({"id": [f"t{number}" for number in range(24)], "text": texts, "label": given.labels})
    pyarrow.parquet.write_table(table, tmp_path / "texts.parquet")
    files = [
        tmp_path / "texts.parquet",
        tmp_path / "texts.parquet",
        "--encoder",
        encoder,
        "--cache",
        tmp_path / "cache",
        "--whole-every",
        "1",
    ]
    command = [sys.executable, ROOT / "bench" / "windows.py", *files, "--model", ROOT / "models" / "default"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    long = report["default"]["every long text through the encoder"]
    assert long["head+tail"]["more than 400"]["cost"] == 1
    assert long["windows"]["more than 400"]["cost"] > 2
    assert long["windows, stride 3/4"]["more than 1024"]["tokens"] >= long["windows"]["more than 1024"]["tokens"]
    assert report["probe"]["windows"]["more than 400"]["texts"] == 16
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "rows computed" not in again.stderr
    assert again.stdout == done.stdout


def test_the_benchmark_of_few_labels_tests_heads_on_texts_that_were_not_drawn(tmp_path):
    encoder = save_encoder(tmp_path / "encoder")
    given = reviews(60, 2, 1)
    table = {"id": [f"t{number}" for number in range(60)], "text": given.texts, "label": given.labels}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "texts.parquet")
    few = ["--encoder", encoder, "--each", "5,10", "--draws", "3", "--cache-dir", tmp_path / "cache"]
    command = [sys.executable, ROOT / "bench" / "few_labels.py", tmp_path / "texts.parquet", *few]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = json.loads(done.stdout.splitlines()[-1])["lines"]
    means = {(line["learner"], line["each"], line["pooling"]): line["mean"] for line in lines}
    assert means.keys() == {
        *(("TF-IDF + logistic regression", each, "") for each in (5, 10)),
        *(("encoder", each, name) for each in (5, 10) for name in ("cls", "mean", "mean2", "mean1+mean2", "chosen")),
    }
    assert means["encoder", 10, "chosen"] > 0.6  # the words of the two labels differ; chance is 0.5
    tested = [*command, "--test", tmp_path / "texts.parquet", "--tested", "20", "--most", "10"]
    again = subprocess.run(tested, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    words = next(line for line in json.loads(again.stdout.splitlines()[-1])["lines"] if line["each"] == 10)
    assert words["deviation"] < 1e-9, "each draw of ten out of ten has the same texts"


def test_the_benchmark_of_the_first_hour_trains_twice_and_scores(tmp_path):
    encoder = save_encoder(tmp_path / "encoder")
    given = reviews(120, 2, 1)
    table = {"id": [f"t{number}" for number in range(120)], "text": given.texts}
    table["domain"] = [("plain", "other")[label] for label in given.labels]
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "texts.parquet")
    script = ROOT / "bench" / "first_hour.py"
    sizes = ["--rows", "60", "--shares", "plain=0.5,other=0.5", "--more=--precisions fp32 --max-length 24"]
    done = subprocess.run(
        [sys.executable, script, tmp_path / "texts.parquet", "--encoder", encoder, *sizes],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout.splitlines()[-1])["sizes"]
    assert (found["rows"], found["test"]["texts"], found["cross_validated"]["texts"]) == (60, 20, 40)
    assert found["seconds"].keys() == {"train", "again", "score"}
    assert found["test"]["accuracy"] > 0.7  # the words of the two domains differ
    assert done.stdout.splitlines()[2].startswith("| 60 | ")


def test_the_benchmark_of_more_labels_compares_forecasts_with_the_gain(tmp_path):
    given = reviews(240, 2, 1)
    table = {"text": [f"{text} {number}" for number, text in enumerate(given.texts)], "label": given.labels}
    table["wrong"] = [(label + (number % 7 == 0)) % 2 for number, label in enumerate(given.labels)]
    table["domain"] = ["films"] * 240
    table = {
        name: [*column, other] for (name, column), other in zip(table.items(), ("x", 2, 2, "ignored"), strict=True)
    }
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "texts.parquet")
    tasks = ["--domains", "films", "--task", "label", "--task", "wrong", "--sizes", "60,80", "--draws", "3"]
    few = [
        "--gain-draws",
        "2",
        "--tested",
        "60",
        "--encoder",
        save_encoder(tmp_path / "encoder"),
        "--cache-dir",
        tmp_path / "cache",
    ]
    command = [sys.executable, ROOT / "bench" / "more_labels.py", tmp_path / "texts.parquet", *few, *tasks]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = {(line["task"], line["texts"]): line for line in json.loads(done.stdout.splitlines()[-1])["lines"]}
    assert lines.keys() == {(task, texts) for task in ("label", "wrong") for texts in (60, 80)}
    for line in lines.values():
        assert 1 <= line["forecasts"] <= 3
        assert line["held"] in (0, 1 / 3, 2 / 3, 1)
        assert abs(line["bias"]) <= line["rmse"]
    assert lines["label", 60]["width"] < lines["wrong", 60]["width"], "labels at random leave more open"
