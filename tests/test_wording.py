"""Wording that docs/DEVELOPING.md asks for ("Words"), as far as a test can read it.

Code is read by its docstrings, comments and strings, docs as a whole but for code. ruff's D401 checks that functions
open with a verb in the imperative.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import ROOT

ROOMS = sorted(
    str(folder.relative_to(ROOT))
    for package in ("scorer", "export", "bench", "tests")
    for folder in (ROOT / package, *(ROOT / package).glob("*/"))
    if any(folder.glob("*.py"))
)
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/*/*.md"))
    if path.name != "LICENSE.md"
)

GOLDEN = ROOT / "export" / "bundle" / "golden.py"  # texts to score

QUESTION = re.compile(r"(What|Which|Whether|Where|Whoever|Whatever|Who|Whose|When|How|Why)\b")
LONGEST = 25  # words of a sentence

INSTEAD = {
    r"\b(goes|go|went|going) on\b": "resume, continue",
    r"\b(leave|leaves|left) aside\b": "ignore",
    r"\b(is|are) none\b": "missing, invalid",
    r"\bmemory is short\b": "out of memory",
    r"\b(mend|mends|mended)\b": "fix",
    r"\b(tell|tells|told|say|says|said)\b": "print, report, warn; name, state",
    r"\bfrom (\S+ ){1,3}on\b(?! (a|an|the|one|two|each|this|that|stdin|stdout|stderr|disk|every|its)\b)": "at least",
}


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Names of modules, classes and functions with their docstrings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield getattr(node, "name", path.name), docstring


def sentences(prose: str) -> list[str]:
    """Sentences of a docstring, without doctests; a colon, a semicolon and an empty line end one, too."""
    prose = re.sub(r"^\s*(>>>|\.\.\.).*$", "", prose, flags=re.MULTILINE)
    return re.split(r"(?<=[.;:?!])\s+|\n\s*\n|\n\s*[-*|] ", prose)


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Comments, docstrings and strings of several words, by line; only comments and docstrings if strings are data."""
    code = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    if path.is_relative_to(ROOT / "tests") or path == GOLDEN:
        yield from ((1, docstring) for _, docstring in docstrings(path))
        return
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.lineno, node.value


def instead(text: str) -> list[str]:
    """Advice for each phrase of a text that has a better one."""
    return [f"{found[0]!r}: {better}" for bad, better in INSTEAD.items() for found in re.finditer(bad, text)]


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).glob("*.py"))


def docstrings_in(room: str) -> Iterator[tuple[str, str]]:
    """Docstrings of a room, each with the name of its file and of what it is for."""
    for path in files(room):
        for name, docstring in docstrings(path):
            yield f"{path.name} {name}", docstring


@pytest.mark.parametrize("room", ROOMS)
def test_no_docstring_opens_with_a_question_word(room):
    assert not [one for one in docstrings_in(room) if QUESTION.match(one[1])]


@pytest.mark.parametrize("room", ROOMS)
def test_the_sentences_of_docstrings_are_short(room):
    assert not [
        (name, sentence)
        for name, docstring in docstrings_in(room)
        for sentence in sentences(docstring)
        if len(sentence.split()) > LONGEST
    ]


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "tests"])
def test_code_has_one_word_a_thing(room):
    found = [
        f"{path.name}:{line}: {advice}"
        for path in files(room)
        for line, text in prose(path)
        for advice in instead(text)
    ]
    assert not found


@pytest.mark.parametrize("page", PAGES)
def test_docs_have_one_word_a_thing(page):
    text = re.sub(r"^    .*$|`[^`]*`", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert not instead(text)
