"""Benchmarks, tried on little data, so that minutes on a GPU are not spent on finding typos."""

import json
import os
import subprocess
import sys

import pyarrow
import pyarrow.parquet
from factories import ROOT, reviews


def test_the_benchmark_for_gpus_runs_from_end_to_end(tmp_path):
    command = [sys.executable, ROOT / "bench" / "gpu.py", "--dry-run", "--output", tmp_path / "report.json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert json.loads((tmp_path / "report.json").read_text()) == report
    for name, section in report.items():
        assert "skipped" not in section, name
        for part in (section, *(value for value in section.values() if isinstance(value, dict))):
            assert part.get("failed") is None, f"{name}: {part['failed']}"
    assert report["tiny file"]["rows"] == 64
    assert report["tiny file"]["phases_s"].keys() == {"read", "tokenize", "compute", "write"}
    assert report["accuracy"]["probability_most"] < 5e-3
    assert report["tiny exactness"]["device_most"] < 0.05
    assert {"median", "least", "most"} == report["tiny model"]["this project, fp16"].keys()


def test_the_benchmark_of_bundles_compares_them(bundle, tmp_path):
    texts = tmp_path / "texts.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": reviews(20, 2, 1).texts}), texts)
    command = [sys.executable, ROOT / "bench" / "bundles.py", texts, bundle.path, bundle.path, "--rounds", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2].endswith(" | 1.000 |")
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["bundles"][str(bundle.path)]["reviews_per_s"]["median"] > 0


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
