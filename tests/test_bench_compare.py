"""Reports of benchmarks: each names the machine of its run, and runs on different machines are not compared."""

import ast
import copy
import doctest
import importlib
import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from factories import ROOT
from onnx import TensorProto, helper

BENCH = ROOT / "bench"

AMD = {"cpu": "AMD EPYC", "family": "25", "model": "17", "stepping": "1", "flags": ["avx2", "avx512_vnni"], "cores": 2}
OWN = {"key": "g", "name": "this project", "precision": "fp32"}
PEER = {"key": "e", "name": "OpenVINO", "precision": "fp32"}


def rate(median):
    return {"median": median, "least": median - 1, "most": median + 3}


REPORT = {
    "script": "cpu.py",
    "settings": {"texts": "test.parquet", "rounds": 3},
    "machine": {**AMD, "versions": {"onnxruntime": "1.31.0", "torch": "2.13.0"}},
    "contenders": [{**PEER, "reviews_per_s": rate(20)}, {**OWN, "reviews_per_s": rate(40)}],
    "seconds": [3.0, 5.0, 1.0],
}


@pytest.fixture
def compared(tmp_path):
    """Run the script on two reports, the second one with other values at some keys."""

    def run(old, new, **changes):
        old, new = copy.deepcopy(old), copy.deepcopy({**new, **changes})
        (tmp_path / "old.txt").write_text(f"| a table |\n\nMeasured.\n\n{json.dumps(old)}\n")
        (tmp_path / "new.txt").write_text(json.dumps(new))
        command = [sys.executable, BENCH / "compare.py", tmp_path / "old.txt", tmp_path / "new.txt"]
        environment = {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def bench(monkeypatch):
    """Import a module of bench/."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


def refused(done):
    """Return the one line that a refused comparison prints."""
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"cpu": "Intel Xeon", "family": "6", "model": "207"}, "cpu AMD EPYC / Intel Xeon, family 25 / 6, model 17 / 207"),
        ({"family": "26"}, "family 25 / 26"),
        ({"stepping": "2"}, "stepping 1 / 2"),
        ({"flags": ["avx2"]}, "flags avx2 avx512_vnni / avx2"),
        ({"cores": 8}, "cores 2 / 8"),
        ({"gpu": "NVIDIA H100"}, "gpu none / NVIDIA H100"),
    ],
)  # fmt: skip
def test_runs_on_different_machines_are_refused_by_what_differs(compared, change, named):
    assert refused(compared(REPORT, REPORT, machine={**REPORT["machine"], **change})) == (
        f"the runs are from different machines ({named}); rates of different machines do not show what the code changed"
    )


def test_runs_of_different_scripts_or_settings_are_refused(compared):
    assert refused(compared(REPORT, REPORT, script="train.py")) == (
        "the runs are of different scripts (cpu.py / train.py)"
    )
    assert refused(compared(REPORT, REPORT, settings={"texts": "test.parquet", "rounds": 5})) == (
        "the runs have different settings (rounds 3 / 5); run both with the same ones"
    )


def test_a_run_that_names_no_cpu_is_refused(compared, tmp_path):
    # Earlier scripts had the name of the CPU elsewhere, without what tells two of that name apart.
    earlier = {"cpu": "AMD EPYC", "contenders": REPORT["contenders"]}
    nameless = {**REPORT, "machine": {**REPORT["machine"], "cpu": ""}}
    words = "does not name the CPU, the script and its settings; run the script of today again"
    for report in (earlier, nameless, {"machine": AMD, "kinds": {}}):
        assert refused(compared(report, REPORT)) == f"{tmp_path / 'old.txt'} {words}"
        assert refused(compared(REPORT, report)) == f"{tmp_path / 'new.txt'} {words}"


@pytest.mark.parametrize("data", [b"", b"| a table |\n", b'{"script": "cpu.py"', b"[1, 2]", b"\xff\xfe"])
def test_a_file_without_a_report_is_refused(tmp_path, data):
    (tmp_path / "old.txt").write_bytes(data)
    command = [sys.executable, BENCH / "compare.py", tmp_path / "old.txt", tmp_path / "missing.txt"]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert refused(done) == (
        f"{tmp_path / 'old.txt'} has no report in its last line; save the whole output of a script of bench/"
    )


def test_contenders_are_compared_by_name_and_by_their_medians(compared):
    done = compared(
        REPORT, REPORT, contenders=[{**OWN, "reviews_per_s": rate(50)}, {**PEER, "reviews_per_s": rate(10)}]
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "| figure | old | new | new / old |",
        "|---|---|---|---|",
        "| contenders, e, OpenVINO, fp32, reviews_per_s | 20 | 10 | 0.500 |",
        "| contenders, g, this project, fp32, reviews_per_s | 40 | 50 | 1.250 |",
        "| seconds | 3 | 3 | 1.000 |",
    ]


def test_libraries_may_differ_and_figures_may_be_missing(compared):
    machine = {**AMD, "versions": {"onnxruntime": "1.32.0", "torch": "2.13.0"}}
    done = compared(REPORT, REPORT, machine=machine, contenders=[{**OWN, "reviews_per_s": rate(44)}])
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "versions: onnxruntime 1.31.0 / 1.32.0"
    assert lines[-1] == "1 figures are in one of the reports alone."
    assert [line for line in lines if "contenders" in line] == [
        "| contenders, g, this project, fp32, reviews_per_s | 40 | 44 | 1.100 |"
    ]


def test_entries_of_the_same_name_are_rounds(bench):
    runs = [
        {"format": "csv", "rows": rows, "seconds": seconds} for rows, seconds in ((10, 1), (10, 9), (10, 2), (20, 7))
    ]
    found = bench("compare").medians({"runs": runs, "changed": 0, "bytes": "equal", "is_cold": True})
    assert found == {"runs, csv, 10, seconds": 2, "runs, csv, 20, seconds": 7, "changed": 0}


def test_a_machine_is_named_by_the_fields_that_its_system_has(bench, tmp_path):
    report = bench("report")
    cpuinfo = (
        "processor : 0\ncpu family : 25\nmodel\t\t: 17\nmodel name : AMD EPYC\nstepping : 1\nflags : fpu avx2 sse\n"
    )
    (tmp_path / "linux").write_text(f"{cpuinfo}\n{cpuinfo.replace('17', '18')}")
    found = report.machine(tmp_path / "linux")
    assert {**AMD, "flags": ["avx2"], "cores": found["cores"], "versions": found["versions"]} == found
    assert report.cpu_name(found) == "AMD EPYC (family 25, model 17, stepping 1)"
    (tmp_path / "arm").write_text("processor : 0\nCPU implementer : 0x41\nCPU part : 0xd40\n")
    assert report.machine(tmp_path / "arm").items() >= {"implementer": "0x41", "part": "0xd40"}.items()
    elsewhere = report.machine(tmp_path / "macOS has none")
    assert elsewhere.keys() == {"cpu", "flags", "cores", "versions"}
    assert elsewhere["cpu"]


def test_settings_name_files_without_their_folders(bench):
    report = bench("report")
    given = report.argparse.Namespace(
        texts="/home/me/test.parquet", data=["a/b.csv", "c.csv"], cache_dir=ROOT, output="x.json", only="abg", more=None
    )
    assert report.settings(given) == {"texts": "test.parquet", "data": ["b.csv", "c.csv"], "only": "abg", "more": None}


def calls(path, name):
    return [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


SCRIPTS = sorted(path.name for path in BENCH.glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "compare.py"])
def test_every_script_prints_its_report_by_the_one_function(name):
    assert len(calls(BENCH / name, "print_report")) == 1
    printed = [ast.unparse(call) for call in calls(BENCH / name, "print") if "json.dumps" in ast.unparse(call)]
    # A step of bench/cache_size.py is a process of its own, which reports to the script itself.
    assert printed == (["print(json.dumps(measured(arguments)))"] if name == "cache_size.py" else [])


@pytest.mark.parametrize("name", ["compare", "operators", "report"])
def test_the_examples_in_docstrings_are_right(bench, name):
    done = doctest.testmod(bench(name))
    assert done.attempted
    assert not done.failed


def product(kind, node, weights):
    """Make a graph of one product of rows, (1, 30, 50), with weights."""
    output = TensorProto.INT32 if node == "MatMulInteger" else TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(node, ["rows", "weights"], ["product"])],
        "product",
        [helper.make_tensor_value_info("rows", kind, [1, 30, 50])],
        [helper.make_tensor_value_info("product", output, [1, 30, 70])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize(
    ("precision", "kind", "node", "types"),
    [
        ("fp32", TensorProto.FLOAT, "MatMul", (np.float32, np.float32)),
        ("int8", TensorProto.UINT8, "MatMulInteger", (np.uint8, np.int8)),
    ],
)
def test_the_rate_of_products_comes_from_the_shapes_that_ran(bench, precision, kind, node, types):
    operators = bench("operators")
    rows, weights = np.ones((1, 30, 50), dtype=types[0]), np.ones((50, 70), dtype=types[1])
    found = operators.profile(product(kind, node, weights), {"rows": rows})
    assert found.nodes[node] == 1
    assert found.operations == {precision: 2 * 30 * 50 * 70}
    # Times in the profile are whole microseconds; a product this small may take less.
    found.product_milliseconds[precision] = 0.5
    one = operators.products_of(found, (32, 48))[precision]
    assert one["gops"] == pytest.approx(2 * 30 * 50 * 70 / 0.5e-3 / 1e9)
    assert one["ceiling"] > 0
    assert one["share"] == pytest.approx(one["gops"] / one["ceiling"])
