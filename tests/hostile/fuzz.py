"""A fuzzer of input files and bundles: it breaks them at random for --seconds, and reports wrong outcomes.

    PYTHONPATH=.:tests python tests/hostile/fuzz.py --seconds 600

Each finding is kept in --findings, and the exit code is 1 if there are any. Without --seed, a new seed is printed.
"""

import argparse
import json
import os
import pickle
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from cases import Case, check
from factories import MAX_LENGTH, list_again, make_bundle, tiny_model, tiny_tokenizer
from test_properties import JSON_PIECES, PIECES

from export.encoder.load import load_encoder
from scorer import Scorer
from scorer.base.errors import ProviderError, ScorerError
from scorer.model.bundle import SUMS

HERE = Path(__file__).resolve().parent
CASE_SECONDS = 20
NASTY = [
    None, True, -1, 0, 1, 2**31, 2**63, 10**400, 1e308, 1e999, float("nan"), "", "x", "\0", "..", "/etc/passwd", "\x1b[2J",
    [], {}, [[]], [None], {"a": None}, "x" * 100_000, [0] * 1000,
]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--findings", type=Path, default=Path("findings"))
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    chance, counts, findings = random.Random(seed), Counter(), 0
    seeds = [(path.suffix[1:], path.read_bytes()) for path in sorted((HERE / "files").iterdir())]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "case").mkdir()
        bundle = tiny_bundle(folder)
        end = time.monotonic() + arguments.seconds
        while time.monotonic() < end:
            if chance.random() < 0.02:
                what = break_bundle(chance, bundle, folder / "broken")
                outcome, problem = try_bundle(folder / "broken")
                kept = what
            else:
                kept = case = random_case(chance, seeds)
                outcome, problem = try_case(case, folder / "case")
            counts[outcome] += 1
            if problem is not None:
                findings += 1
                keep(arguments.findings, findings, kept, folder / "broken", problem)
    for outcome, count in sorted(counts.items()):
        print(f"{outcome}: {count:,}")
    print(json.dumps({"seed": seed, "tried": sum(counts.values()), "findings": findings, **counts}))
    return 1 if findings else 0


def random_case(chance, seeds):
    """Return a file of the corpus, mutated, in a random dialect."""
    kind, data = chance.choice(seeds)
    data = data[:20_000]
    pieces = JSON_PIECES if kind == "jsonl" else PIECES
    for _ in range(chance.choice([0, 1, 1, 2, 4, 8, 16])):
        data = mutate(chance, data, pieces, seeds)
    kind = kind if chance.random() < 0.9 else chance.choice(["csv", "tsv", "jsonl"])
    delimiter = chance.choice([None, None, None, ";", "|", " ", "é", ",", "||"]) if kind != "jsonl" else None
    return Case(
        data,
        kind,
        delimiter=delimiter,
        quote_char=chance.choice(['"', '"', '"', "'", ""]),
        escape_char=chance.choice(["", "", "", "\\", "x"]),
        no_header=chance.random() < 0.2,
        text=chance.choice([None, None, None, "text", "column_1", "column_2"]),
        limit=chance.choice([5, 60, 1000, 10_000_000]),
        output_kind=chance.choice(["csv", "tsv", "jsonl"]),
        keep=chance.choice([(), (), ("*",), ("id",), ("n", "id")]),
        details=chance.random() < 0.3,
        escape_formulas=chance.random() < 0.3,
        skip_initial_space=delimiter != " " and chance.random() < 0.1,
        comment=chance.choice(["", "", "", "#", "a"]),
        skip_lines=chance.choice([0, 0, 0, 1, 5]),
        ragged=chance.choice(["reject", "reject", "pad"]),
        null=chance.choice([(), (), ("NULL",), ("\\N",)]),
    )


def mutate(chance, data, pieces, seeds):
    """Flip a bit, or cut, repeat, insert or splice bytes."""
    at = chance.randrange(len(data) + 1)
    to = min(len(data), at + chance.choice([1, 1, 2, 5, 30, 300]))
    how = chance.randrange(7)
    if how == 0 and at < len(data):
        return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
    if how == 1:
        return data[:at] + data[to:]
    if how == 2:
        return data[:to] + data[at:to] * chance.choice([1, 2, 20]) + data[to:]
    if how == 3:
        return data[:at] + chance.choice(pieces) + data[at:]
    if how == 4:
        other = chance.choice(seeds)[1][:5_000]
        begin = chance.randrange(len(other) + 1)
        return data[:at] + other[begin : begin + 200] + data[to:]
    if how == 5:
        return data[:at] + bytes(chance.randrange(256) for _ in range(to - at)) + data[to:]
    return data[:at]


def try_case(case, folder):
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(CASE_SECONDS)
    try:
        return f"file: exit code {check(case, folder)}", None
    except Exception:
        return "file: FINDING", traceback.format_exc()
    finally:
        signal.alarm(0)


def _too_long(number, frame):
    raise TimeoutError(f"more than {CASE_SECONDS} s")


def tiny_bundle(folder):
    tokenizer = tiny_tokenizer("distilbert")
    tokenizer.save_pretrained(folder / "encoder")
    tiny_model("distilbert", max(tokenizer.get_vocab().values()) + 1).save_pretrained(folder / "encoder")
    return make_bundle(
        load_encoder(str(folder / "encoder"), max_length=MAX_LENGTH), folder / "tiny", pooling="mean"
    ).path


def break_bundle(chance, bundle, folder):
    """Copy a bundle with one file changed, usually with matching checksums, and return a description of the change."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bundle, folder)
    name = chance.choice(["manifest.json", "tokenizer.json", "model.int8.onnx", "model.int8.onnx", SUMS])
    data = (folder / name).read_bytes()
    if name.endswith(".json") and chance.random() < 0.7:
        data = json.dumps(replaced(chance, json.loads(data))).encode()
    else:
        for _ in range(chance.choice([1, 1, 2, 8])):
            data = mutate(chance, data, JSON_PIECES, [("", data)])
    (folder / name).write_bytes(data)
    right = name != SUMS and chance.random() < 0.9
    if right:
        list_again(folder)
    return f"{name} changed, sums {'right' if right else 'as they were'}"


def replaced(chance, value):
    """Return JSON with one value somewhere in it replaced or removed."""
    if isinstance(value, dict | list) and value and chance.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = chance.choice(keys)
        if chance.random() < 0.1:
            del value[key]
        else:
            value[key] = replaced(chance, value[key])
        return value
    return chance.choice(NASTY)


def try_bundle(folder):
    """Load a bundle in its own process, since a library that crashes is a finding as well."""
    said = folder.parent / "said"
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(CASE_SECONDS)
            Scorer(folder, provider="cpu").score(["a good film", "bad"])
            code = 0
        except ScorerError as error:
            code = error.exit_code if "broken" in str(error) or isinstance(error, ProviderError) else 71
            if code == 71:
                traceback.print_exc()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    problem = None if code in (0, 5) else f"exit code {code}\n{said.read_text(errors='replace')}"
    return (f"bundle: exit code {code}" if problem is None else "bundle: FINDING"), problem


def keep(place, number, what, broken, problem):
    """Save a finding, so that it can be tried again."""
    place.mkdir(exist_ok=True)
    (place / f"{number}.txt").write_text(f"{what}\n\n{problem}")
    if isinstance(what, Case):
        (place / f"{number}.pickle").write_bytes(pickle.dumps(what))
    else:
        shutil.copytree(broken, place / f"{number}.bundle", dirs_exist_ok=True)
    print(f"finding {number}: {problem.strip().splitlines()[-1][:300]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
