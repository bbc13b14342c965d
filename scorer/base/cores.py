"""Cores that this process may use, by affinity and cgroup quota; the machine may have more."""

import os
from pathlib import Path

CGROUPS, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def usable_cores(cgroup_root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Count the cores that affinity and the CPU quota of this process's cgroup (rounded up) allow, at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        cores = os.cpu_count() or 1
    quotas = [quota for folder in cgroup_folders(cgroup_root, membership) if (quota := _quota(folder)) is not None]
    return max(1, min([cores, *(int(-(-quota // 1)) for quota in quotas)]))


def cgroup_folders(root: Path = CGROUPS, membership: Path = MEMBERSHIP, controller: str = "cpu") -> list[Path]:
    """List the cgroup folders that may limit this process, up to the root; the limit of each one applies.

    Args:
        root: folder of the cgroup file system.
        membership: file that names this process's cgroups.
        controller: controller of the limit, for version 1 of cgroups.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    folders = [root, root / controller]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        base = root if not controllers else root / controller
        if not controllers or controller in controllers.split(","):
            here = base / path.lstrip("/")
            folders += [here, *(parent for parent in here.parents if base in parent.parents)]
    return folders


def _quota(folder: Path) -> float | None:
    """Read a cgroup folder's limit of cores: cpu.max (version 2) or cpu.cfs_quota_us (version 1); None if unlimited."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((folder / f"cpu.cfs_{part}_us").read_text().strip() for part in ("quota", "period"))
        except OSError:
            return None
    return None if quota in ("max", "-1") else int(quota) / int(period)
