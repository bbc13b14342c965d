"""Options from a file, and the values and origins that --show-config prints; none of it needs a model."""

import json
import os
import tomllib
from pathlib import Path

import click
import pytest

from export.cli.score_model import command as score_model
from scorer.cli.config import show
from scorer.cli.program import run_command
from scorer.cli.score import command
from scorer.cli.score_ray import command as score_ray


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with no option in the environment."""
    for name in [name for name in os.environ if name.startswith("SCORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"text": "good film", "stars": 5}\n')
    return tmp_path


def options(*arguments, config=None):
    """Options as `score` gets them from the command line, the environment and score.toml."""
    if config is not None:
        Path("score.toml").write_text(config, encoding="utf-8")
    return command.make_context("score", list(arguments)).params


def test_a_run_takes_its_options_from_score_toml_and_says_which(folder, score):
    (folder / "score.toml").write_text('keep = ["stars"]\ndetails = true\noutput = "out.jsonl"\nprovider = "cuda"\n')
    result = score("in.jsonl")  # the fixture sets model and provider in the environment, which wins
    assert result.code == 0
    assert result.err.splitlines()[0] == "Options from score.toml: keep, details, output."
    row = json.loads((folder / "out.jsonl").read_text())
    assert (row["stars"], row["tokens"]) == (5, 4)
    assert result.err.count("score.toml") == 1


def test_quiet_from_the_file_or_the_environment_is_quiet_about_the_file_too(folder, score, monkeypatch):
    (folder / "score.toml").write_text('quiet = true\noutput = "out.csv"\n')
    assert score("in.jsonl").err == ""
    (folder / "score.toml").write_text('output = "out.csv"\n')
    monkeypatch.setenv("SCORE_QUIET", "1")
    assert score("in.jsonl").err == ""


def test_a_file_that_decides_nothing_is_not_mentioned(folder, score):
    (folder / "score.toml").write_text("max-rejects = 3\n")
    assert "score.toml" not in score("in.jsonl", "-o", "out.csv", "--max-rejects", "2").err
    (folder / "score.toml").write_text("")
    assert "score.toml" not in score("in.jsonl", "-o", "out.csv").err


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(folder, monkeypatch):
    def seen(*arguments):
        found = options(*arguments)
        return found["max_rejects"], found["keep"], found["details"], found["quote_char"], found["precision"]

    assert seen() == (None, (), False, '"', "auto")
    (folder / "score.toml").write_text(
        'max-rejects = 1\nkeep = ["a b", "c"]\ndetails = true\nquote-char = ""\nprecision = "int8"\n'
    )
    assert seen() == (1, ("a b", "c"), True, "", "int8")
    for name, value in {"MAX_REJECTS": "2", "KEEP": "d e", "DETAILS": "0", "QUOTE_CHAR": "'"}.items():
        monkeypatch.setenv(f"SCORE_{name}", value)
    assert seen() == (2, ("d", "e"), False, "'", "int8")
    arguments = ["--max-rejects", "3", "--keep", "f", "--details", "--precision", "fp32", "--quote-char", ""]
    assert seen(*arguments) == (3, ("f",), True, "", "fp32")


@pytest.mark.parametrize("program", ["score", "score-ray"])
@pytest.mark.parametrize(
    "config", ["", 'quote-char = "|"\nescape-char = "\\\\"\ncache = "scores.sqlite"\ndetails = true\n']
)
def test_an_empty_variable_is_a_missing_one_whatever_the_option(folder, monkeypatch, program, config):
    (folder / "score.toml").write_text(config)
    tested = score_ray if program == "score-ray" else command
    arguments = ["in.jsonl", "-o", "out"]
    expected = tested.make_context(program, list(arguments)).params
    for option in tested.params:
        monkeypatch.setenv(f"SCORE_{str(option.name).upper()}", "")
    assert tested.make_context(program, list(arguments)).params == expected


def test_a_value_that_may_be_empty_is_emptied_by_the_file_and_by_the_command_line(folder, monkeypatch):
    empty = {"quote_char": "", "escape_char": "", "cache": ""}
    assert options(config='quote-char = ""\nescape-char = ""\ncache = ""\n').items() >= empty.items()
    for name, value in {"QUOTE_CHAR": "|", "ESCAPE_CHAR": "|", "CACHE": "scores.sqlite"}.items():
        monkeypatch.setenv(f"SCORE_{name}", value)
    assert options("--quote-char", "", "--escape-char", "", "--cache", "").items() >= empty.items()


def test_another_file_is_named_by_config_or_the_environment_and_dev_null_switches_score_toml_off(folder, monkeypatch):
    (folder / "score.toml").write_text("limit = 1\n")
    (folder / "other.toml").write_text("limit = 2\n")
    (folder / "third.toml").write_bytes(b"\xef\xbb\xbflimit = 3\r\n")
    assert options()["limit"] == 1
    assert options("--config", "/dev/null")["limit"] is None
    monkeypatch.setenv("SCORE_CONFIG", "other.toml")
    assert options()["limit"] == 2
    assert options("--config", "third.toml")["limit"] == 3


NOT_IN_A_FILE = {"config", "show_config", "check", "version", "help", "restart", "shard", "plan", "max_seconds"}
EXAMPLES = {"boolean": "true", "whole number": "1", "number": "1.0", "text": '"x"'}


def test_every_option_that_a_file_may_set_can_be_set_in_one(folder):
    lines = {}
    for option in command.params:
        if not isinstance(option, click.Option) or option.name in NOT_IN_A_FILE:
            continue
        choices = option.type.choices if isinstance(option.type, click.Choice) else None
        value = json.dumps(choices[-1]) if choices else EXAMPLES.get(option.type.name)
        if value is not None:  # other types are tested on their own
            name = next(name for name in option.opts if name.startswith("--"))[2:]
            lines[option.name] = f"{name} = {f'[{value}]' if option.multiple else value}"
    assert len(lines) >= 25
    unset = command.make_context("score", ["in.jsonl"]).params
    found = options(config="\n".join(lines.values()))
    assert [name for name in lines if found[name] == unset[name]] == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("max_rejects = 10", "there is no option 'max_rejects'; did you mean 'max-rejects'?"),
        ("zzz = 10", "there is no option 'zzz'; see `score --help`."),
        ('devices = "0,1"', "'devices' was removed from `score`; start `score` once for each GPU, with CUDA_VISIBLE_DEVICES and --shard I/N."),
        ("[score]\ndetails = true", "'score' is a table; write options as lines at the top of the file, such as details = true."),
        ("details = 1", "details takes true or false, as in details = true, not 1."),
        ('details = "yes"', 'details takes true or false, as in details = true, not "yes".'),
        ('keep = "stars"', 'keep takes a list, each text in quotes, as in keep = ["..."], not "stars".'),
        ("keep = [1]", 'keep takes a list, each text in quotes, as in keep = ["..."], not [1].'),
        ('max-rejects = "10"', 'max-rejects takes a whole number, as in max-rejects = 10, not "10".'),
        ("max-rejects = true", "max-rejects takes a whole number, as in max-rejects = 10, not true."),
        ("max-rejects = 1.5", "max-rejects takes a whole number, as in max-rejects = 10, not 1.5."),
        ("threshold = true", "threshold takes a number, as in threshold = 0.5, not true."),
        ("text = 5", 'text takes text in quotes, as in text = "...", not 5.'),
        ("text = 2024-01-31", 'text takes text in quotes, as in text = "...", not 2024-01-31.'),
        ('text = ["a"]', 'text takes text in quotes, as in text = "...", not ["a"].'),
        (r'model = "a\u0000b"', r"model cannot contain the character \u0000; remove it."),
        ("max-rejects = -1", "max-rejects: -1 is not in the range x>=0."),
        ("threshold = 2", "threshold: 2.0 is not in the range 0<=x<=1."),
        ("threshold = nan", "threshold: nan is not in the range 0<=x<=1."),
        ("threshold = 1" + "0" * 400, "threshold: int too large to convert to float"),
        ('provider = "gpu"', "provider: 'gpu' is not one of 'auto', 'cpu', 'cuda'."),
        *(
            (f"{name} = true", f"'{name}' is for the command line only; remove it from the file.")
            for name in ("config", "check", "version", "help", "restart", "shard", "plan", "max-seconds")
        ),
    ],
)  # fmt: skip
def test_what_a_file_may_not_say_is_named_with_the_file_and_what_to_write(folder, score, line, message):
    (folder / "my.toml").write_text(line)
    result = score("in.jsonl", "--config", "my.toml")
    assert (result.code, result.out, result.err) == (2, "", f"Error: my.toml: {message}\n")


@pytest.mark.parametrize("program", [["score"], ["score-ray", "-o", "out"]])
def test_an_option_of_earlier_versions_is_refused_with_advice_wherever_it_is_set(folder, monkeypatch, program, capsys):
    advice = "was removed from `score`; start `score` once for each GPU, with CUDA_VISIBLE_DEVICES and --shard I/N.\n"
    run = {"score": command, "score-ray": score_ray}[program[0]]

    def refused(*arguments):
        code = run_command(run, [*program[1:], "in.jsonl", *arguments], name=program[0], interrupted="")
        return code, capsys.readouterr().err

    assert refused("--devices", "0,1") == refused("--devices=0") == (2, f"Error: --devices {advice}")
    with monkeypatch.context() as patched:
        patched.setenv("SCORE_DEVICES", "0,1")
        assert refused() == (2, f"Error: the environment sets SCORE_DEVICES, which {advice}")
        assert refused("--help")[0] == 0
    (folder / "score.toml").write_text('devices = "0,1"\n')
    assert refused() == (2, f"Error: score.toml: 'devices' {advice}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"details = true\nmodel = models/imdb\n", "my.toml is not TOML: Invalid value (at line 2, column 9). "),
        (b"limit = 1\nlimit = 2\n", "my.toml is not TOML: Cannot overwrite a value (at line 2, column 10). "),
        (b"limit = " + b"1" * 5000, "my.toml is not TOML: Exceeds the limit "),
        (b"keep = " + b"[" * 5000, "my.toml is not TOML: "),
        (b'text = "caf\xe9"', "my.toml is not UTF-8, as TOML must be: "),
    ],
)
def test_what_is_no_toml_is_named_with_its_line(folder, score, content, message):
    (folder / "my.toml").write_bytes(content)
    result = score("in.jsonl", "--config", "my.toml")
    assert result.code == 2
    assert result.err.startswith(f"Error: {message}")


def test_a_file_that_was_asked_for_has_to_be_there_and_readable(folder, score):
    missing = score("in.jsonl", "--config", "none.toml")
    assert (missing.code, missing.err) == (
        2, "Error: the configuration file none.toml is missing; check --config and SCORE_CONFIG, or leave them out.\n",
    )  # fmt: skip
    assert score("in.jsonl", "--config", ".").err == (
        "Error: the configuration file . cannot be read: Is a directory; check --config.\n"
    )


def test_help_and_version_come_whatever_the_file_says(folder, score):
    (folder / "score.toml").write_text("nonsense")
    assert score("--help").code == score("--version").code == 0
    assert score("in.jsonl").code == 2


def shown(*arguments):
    """Output of `score --show-config`: lines by option, and values as TOML."""
    context = command.make_context("score", [*arguments, "--show-config"])
    lines = list(show(context))
    return dict(line.split(" = ", 1) for line in lines if not line.startswith("#")), tomllib.loads("\n".join(lines))


def test_show_config_says_what_holds_and_why_without_a_model_or_an_input(folder, score, monkeypatch):
    monkeypatch.setenv("SCORE_MODEL", "not even looked for")
    (folder / "score.toml").write_text('keep = ["a", "b"]\ndetails = true\nquote-char = ""\nlimit = 5\n')
    result = score("--show-config", "--limit", "7", "--threshold", "1")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    for line in (
        'model = "not even looked for"  # environment SCORE_MODEL',
        "limit = 7  # command line",
        "threshold = 1.0  # command line",
        'keep = ["a", "b"]  # score.toml',
        "details = true  # score.toml",
        'quote-char = ""  # score.toml',
        "strict = false  # default",
        'precision = "auto"  # default',
        "# text is not set",
        "# max-rejects is not set",
        "# restart = false  # default; not allowed in a file",
    ):
        assert line in lines
    assert sorted(path.name for path in folder.iterdir()) == ["in.jsonl", "score.toml"]


def test_show_config_names_every_option_that_is_not_about_the_command_line_itself(folder):
    lines = list(show(command.make_context("score", [])))
    for option in command.params:
        if isinstance(option, click.Option) and option.name not in NOT_IN_A_FILE - {"check", "restart", "shard"}:
            name = next(name for name in option.opts if name.startswith("--"))[2:]
            assert [line for line in lines if line.removeprefix("# ").split()[0] == name], name
    assert len(lines) >= 30


def test_what_show_config_prints_is_a_file_that_gives_the_same_again(folder, monkeypatch):
    monkeypatch.setenv("SCORE_QUOTE_CHAR", "|")
    monkeypatch.setenv("SCORE_KEEP", "stars date")
    (folder / "score.toml").write_text("escape-formulas = true\nmax-reject-ratio = 0.0000001\n")
    awkward = ["--text", 'a "b" \\ # é\t\n\x7f\u2028', "--threshold", "0.5", "--strict", "-o", "out.csv", "-q"]
    lines, values = shown(*awkward)
    assert (values["text"], values["quote-char"], values["keep"]) == (awkward[1], "|", ["stars", "date"])
    expected = options(*awkward)
    (folder / "again.toml").write_text("\n".join(show(command.make_context("score", awkward))))
    for name in ("SCORE_QUOTE_CHAR", "SCORE_KEEP"):
        monkeypatch.delenv(name)
    assert options("--config", "again.toml") == expected
    again, same = shown("--config", "again.toml")
    assert same == values
    assert {line.split("  # ")[-1] for line in again.values()} == {"again.toml"}
    assert len(again) == len(lines)


def test_an_option_and_a_file_name_that_are_no_text_stand_in_comments(folder, score):
    (folder / "a\nlimit = 1 #.toml").write_text("limit = 2\n")
    result = score("--show-config", "-o", "\udcff.csv", "--config", "a\nlimit = 1 #.toml")
    assert tomllib.loads(result.out)["limit"] == 2
    written = r'# output = "\udcff.csv"  # command line; cannot be written to a file, since it is not text'
    assert result.out.splitlines().count(written) == 1


def test_show_config_refuses_what_a_run_would_refuse(folder, score):
    (folder / "score.toml").write_text("max_rejects = 10\n")
    assert score("--show-config").code == 2
    assert score("--show-config", "--config", "/dev/null", "--threshold", "7").code == 2


def test_a_cache_comes_from_the_file_or_the_environment(folder, score, monkeypatch):
    (folder / "score.toml").write_text('cache = "scores.sqlite"\ncache-max-rows = 1\n')
    assert "No row came from the cache scores.sqlite." in score("in.jsonl", "-o", "out.csv").err
    result = score("in.jsonl", "-o", "out.csv")
    assert "Options from score.toml: cache, cache-max-rows." in result.err
    assert "1 row (" in result.err
    monkeypatch.setenv("SCORE_CACHE", "other.sqlite")
    monkeypatch.setenv("SCORE_CACHE_MAX_ROWS", "5")
    assert "No row came from the cache other.sqlite." in score("in.jsonl", "-o", "out.csv").err
    lines = score("--show-config").out.splitlines()
    assert 'cache = "other.sqlite"  # environment SCORE_CACHE' in lines
    assert "cache-max-rows = 5  # environment SCORE_CACHE_MAX_ROWS" in lines
    assert "cache-read-only = false  # default" in lines
    assert {path.name for path in folder.iterdir()} >= {"scores.sqlite", "other.sqlite"}


@pytest.mark.parametrize("line", ["cache-max-rows = 5", "cache-read-only = true"])
def test_a_limit_of_no_cache_is_refused_wherever_it_comes_from(folder, score, line, monkeypatch):
    option = line.partition(" ")[0]
    message = f"Error: --{option} needs --cache, which names the file.\n"
    (folder / "score.toml").write_text(f"{line}\n")
    for arguments in (["in.jsonl", "-o", "out.csv"], ["--show-config"], ["--check"]):
        result = score(*arguments)
        assert (result.code, result.out) == (2, "")
        assert result.err.endswith(message)
    assert score("in.jsonl", "-o", "out.csv", "--cache", "scores.sqlite", "--config", "/dev/null").code == 0
    assert score("in.jsonl", "-o", "out.csv", "--cache", "scores.sqlite").code == 0
    (folder / "score.toml").unlink()
    monkeypatch.setenv(f"SCORE_{option.upper().replace('-', '_')}", "1")
    assert message in score("in.jsonl", "-o", "other.csv").err
    assert not (folder / "other.csv").exists()


@pytest.mark.parametrize(
    ("line", "environment", "arguments", "wanted"),
    [
        ("", None, [], False),
        ("debug = true", None, [], True),
        ("debug = false", None, [], False),
        ("", "1", [], True),
        ("", "true", [], True),
        ("", "no", [], False),
        ("debug = true", "no", [], False),
        ("debug = false", "no", ["--debug"], True),
    ],
)
def test_a_traceback_is_shown_wherever_debug_was_asked_for(
    folder, score, monkeypatch, line, environment, arguments, wanted
):
    (folder / "score.toml").write_text(line)
    if environment is not None:
        monkeypatch.setenv("SCORE_DEBUG", environment)
    result = score("none.jsonl", *arguments)
    assert result.code == 2
    assert ("Traceback" in result.err) is wanted


def test_what_is_wrong_with_the_file_itself_comes_with_a_traceback_too(folder, score, monkeypatch):
    (folder / "score.toml").write_text("nonsense")
    assert "Traceback" not in score("in.jsonl").err
    assert "Traceback" in score("in.jsonl", "--debug").err
    monkeypatch.setenv("SCORE_DEBUG", "1")
    assert "Traceback" in score("in.jsonl").err


def test_score_model_shows_a_traceback_where_its_options_ask_for_one(folder, capfd, monkeypatch):
    def err():
        run_command(score_model, ["parity", "none", "--data", "in.jsonl"], name="score-model", interrupted="")
        return capfd.readouterr().err

    assert "Traceback" not in err()
    monkeypatch.setenv("SCORE_MODEL_PARITY_DEBUG", "1")
    assert "Traceback" in err()
