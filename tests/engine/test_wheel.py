"""A broken installation of onnxruntime is reported, with advice on how to reinstall it."""

import os
import subprocess
import sys

import pytest

from scorer.engine import wheel

RUN = "from scorer.cli.score import main; main()"
REINSTALL = "Reinstall it: pip uninstall -y onnxruntime onnxruntime-gpu; pip install onnxruntime"


@pytest.fixture(params=["", "raise ImportError('libonnxruntime.so.1: cannot open shared object file')\n"])
def half(request, tmp_path):
    """Folder before all others in which onnxruntime has no core or cannot load it, and a word of the message."""
    package = tmp_path / "packages" / "onnxruntime"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(request.param)
    return package.parent, "libonnxruntime.so.1: cannot open" if request.param else "no attribute 'InferenceSession'"


@pytest.mark.parametrize("argument", ["--check", "in.jsonl"])
def test_a_broken_onnxruntime_is_named_with_how_to_reinstall_it(half, bundle, tmp_path, argument):
    packages, problem = half
    (tmp_path / "in.jsonl").write_text('{"text": "good film"}\n')
    run = subprocess.run(
        [sys.executable, "-c", RUN, argument, "--model", bundle.path],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": f"{packages}{os.pathsep}{os.getcwd()}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1, run.stderr
    assert run.stderr.startswith("Error: onnxruntime is missing or broken: ")
    assert problem in run.stderr
    assert REINSTALL in run.stderr
    assert "unexpected" not in run.stderr


def test_two_wheels_that_overwrite_each_other_are_named(monkeypatch):
    monkeypatch.setattr(wheel.metadata, "version", lambda name: "1.31.0")
    said = str(wheel.broken(AttributeError("module 'onnxruntime' has no attribute 'InferenceSession'")))
    assert "(onnxruntime 1.31.0 and onnxruntime-gpu 1.31.0 overwrite each other)" in said


def test_the_wheel_to_install_is_the_platforms(monkeypatch):
    for system, machine, name in [("linux", "x86_64", "-gpu"), ("linux", "aarch64", ""), ("darwin", "arm64", "")]:
        monkeypatch.setattr(wheel.sys, "platform", system)
        monkeypatch.setattr(wheel.platform, "machine", lambda machine=machine: machine)
        assert str(wheel.broken(ImportError())).endswith(f"pip install onnxruntime{name}")
