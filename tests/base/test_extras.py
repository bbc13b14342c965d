"""Advice on optional libraries names the source of this program, and never a bare name on a package index."""

import json
import re
import shlex
from importlib import metadata
from pathlib import Path

import pytest
from factories import ROOT

from scorer.base import extras
from scorer.base.extras import install_advice

WORDS = "install the extra [remote] of this program from the source that the program was installed from"
GIT = {"vcs": "git", "commit_id": "4f1c"}


@pytest.fixture
def installed_from(monkeypatch):
    """Record where the program was installed from: the content of direct_url.json, or None if it is missing."""

    def record(origin):
        text = origin if origin is None or isinstance(origin, str) else json.dumps(origin)

        class Installed:
            def read_text(self, name):
                assert name == "direct_url.json"
                return text

        monkeypatch.setattr(extras.metadata, "distribution", lambda name: Installed())

    return record


@pytest.mark.parametrize(
    ("origin", "advice"),
    [
        (
            {"url": "https://host/me/it.git", "vcs_info": GIT | {"requested_revision": "main"}},
            "pip install 'review-scorer[remote] @ git+https://host/me/it.git@4f1c'",
        ),
        (
            {"url": "https://me:secret@host:8443/it.git", "vcs_info": GIT, "subdirectory": "a/b"},
            "pip install 'review-scorer[remote] @ git+https://host:8443/it.git@4f1c#subdirectory=a/b'",
        ),
        (
            {"url": "ssh://git@host/it.git", "vcs_info": GIT},
            "pip install 'review-scorer[remote] @ git+ssh://git@host/it.git@4f1c'",
        ),
        (
            {"url": "https://token@host/it-0.1.0.whl", "archive_info": {}},
            "pip install 'review-scorer[remote] @ https://host/it-0.1.0.whl'",
        ),
        ({"url": "https://host/it.whl?X-Amz-Signature=secret", "archive_info": {}}, WORDS),
        ({"url": "file:///folder/that/was/removed", "dir_info": {}}, WORDS),
        ({"url": 3}, WORDS),
        ({}, WORDS),
        ([], WORDS),
        ("{", WORDS),
        (None, WORDS),
    ],
)
def test_the_advice_names_the_origin_that_pip_recorded(installed_from, origin, advice):
    installed_from(origin)
    assert install_advice("remote") == advice


def test_a_folder_is_quoted_for_pip_and_a_shell(installed_from, tmp_path):
    checkout = tmp_path / "my 'own' folder"
    checkout.mkdir()
    installed_from({"url": checkout.as_uri(), "dir_info": {}})
    assert shlex.split(install_advice("remote")) == ["pip", "install", f"{checkout}[remote]"]
    installed_from({"url": checkout.as_uri(), "dir_info": {"editable": True}})
    assert shlex.split(install_advice("remote")) == ["pip", "install", "-e", f"{checkout}[remote]"]


def test_the_advice_for_a_program_that_is_not_installed_is_words(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(extras.metadata, "distribution", missing)
    assert install_advice("remote") == WORDS


def test_no_message_or_page_installs_the_program_by_its_bare_name():
    # On an index that name may belong to anybody; an address behind it (`review-scorer[remote] @ ...`) makes it ours.
    folders = ("scorer", "export", "tests", "bench", "docs", "examples")
    written = [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix not in (".pyc", ".parquet")
    ]
    written += [path for kind in ("md", "py", "toml") for path in ROOT.glob(f"*.{kind}")]
    written += [ROOT / "models" / "default" / "README.md", ROOT / ".ci" / "run", ROOT / "NOTICE"]
    for path in filter(Path.is_file, written):
        text = path.read_bytes().decode(errors="replace")
        found = re.findall(r"(?i)(?:pip|install|uv)\b.*?\breview[-_.]scorer\b(?:\[[\w,-]*\])?+(?! @ )", text)
        assert not found, f"{path}: {found}"
