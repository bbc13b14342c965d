"""Available memory is that of the machine, or what a cgroup leaves of it."""

import pytest

from scorer.base.available_memory import available_memory

MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n"


@pytest.fixture
def available(tmp_path):
    (tmp_path / "meminfo").write_text(MEMINFO)

    def found(membership, **files):
        (tmp_path / "cgroup").write_text(membership)
        for path, text in files.items():
            file = tmp_path / "fs" / path.replace("__", "/").replace("_dot_", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return available_memory(tmp_path / "meminfo", tmp_path / "fs", tmp_path / "cgroup")

    return found


def test_without_a_limit_it_is_the_machines(available):
    assert available("0::/job\n", job__memory_dot_max="max\n", job__memory_dot_current="5000\n") == 8_000_000 << 10


def test_a_cgroup_of_version_2_leaves_its_limit_less_its_use(available):
    assert available("0::/job\n", job__memory_dot_max="9000\n", job__memory_dot_current="5000\n") == 4_000


def test_a_cgroup_of_version_1_leaves_its_limit_less_its_use(available):
    files = {"memory__job__memory_dot_limit_in_bytes": "7000", "memory__job__memory_dot_usage_in_bytes": "6000"}
    assert available("5:memory:/job\n4:cpu:/other\n", **files) == 1_000


def test_a_cgroup_over_its_limit_leaves_nothing(available):
    assert available("0::/\n", memory_dot_max="9000\n", memory_dot_current="9500\n") == 0


def test_it_is_unknown_if_the_system_has_no_figure(tmp_path):
    assert available_memory(tmp_path / "none") is None
    (tmp_path / "old").write_text("MemTotal: 5 kB\n")
    assert available_memory(tmp_path / "old") is None
