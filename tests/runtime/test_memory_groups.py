"""Limits of memory, where Docker, SLURM, systemd and others put them: as their machines show them."""

from pathlib import Path

import pytest

from blindsr.runtime import devices, memory_groups

MiB = 2**20
V2 = "29 23 0:26 {top} /sys/fs/cgroup ro,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "36 32 0:33 {top} /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory"
OTHERS = (
    "22 1 0:21 / / rw - overlay overlay rw",
    "25 22 0:23 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids",
)


def machine(root: Path, own: str, mounts: list[str], groups: dict[str, dict[str, int | str]]) -> None:
    """The two tables of the system, and the files of its groups, by their folders."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own)
    (root / "proc/self/mountinfo").write_text("\n".join([*OTHERS, *mounts]) + "\n")
    for folder, files in groups.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, value in files.items():
            (root / folder / name).write_text(f"{value}\n")


def v2(most: int | str, used: int, cached: int = 0, **more: int) -> dict[str, int | str]:
    stat = f"anon 17\ninactive_file {cached}\nactive_file 5"
    files: dict[str, int | str] = {"memory.max": most, "memory.current": used, "memory.stat": stat}
    return files | {f"memory.{name}": value for name, value in more.items()}


def v1(most: int, used: int, cached: int = 0) -> dict[str, int | str]:
    stat = f"cache 17\ninactive_file 1\ntotal_inactive_file {cached}"
    return {"memory.limit_in_bytes": most, "memory.usage_in_bytes": used, "memory.stat": stat}


NONE = 0x7FFFFFFFFFFFF000  # what version 1 says where there is no limit
SLURM = "/slurm/uid_1000/job_7/step_0/task_0"
USER = "/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope"


@pytest.mark.parametrize(
    ("own", "mounts", "groups", "left"),
    [
        pytest.param(
            "0::/\n", [V2.format(top="/")], {"sys/fs/cgroup": v2(900 * MiB, 500 * MiB, 100 * MiB)}, 500, id="Docker"
        ),
        pytest.param(
            "0::/system.slice/docker-1f.scope\n",
            [V2.format(top="/")],
            {
                "sys/fs/cgroup/system.slice/docker-1f.scope": v2(900 * MiB, 500 * MiB),
                "sys/fs/cgroup/system.slice": {},
            },
            400,
            id="Docker with the groups of its host",
        ),
        pytest.param(
            "5:memory:/docker/1f\n4:pids:/docker/1f\n0::/\n",
            [V1.format(top="/docker/1f")],
            {"sys/fs/cgroup/memory": v1(900 * MiB, 500 * MiB, 100 * MiB)},
            500,
            id="Docker, version 1",
        ),
        pytest.param(
            "5:memory:/\n",
            [V1.format(top="/")],
            {"sys/fs/cgroup/memory": v1(900 * MiB, 500 * MiB)},
            400,
            id="a namespace of its own, version 1",
        ),
        pytest.param(
            f"11:cpuset:{SLURM}\n5:memory:{SLURM}\n0::/system.slice/slurmd.service\n",
            [V1.format(top="/"), V2.format(top="/").replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ")],
            {
                f"sys/fs/cgroup/memory{SLURM}": v1(NONE, 300 * MiB),
                "sys/fs/cgroup/memory/slurm/uid_1000/job_7/step_0": v1(800 * MiB, 300 * MiB),
                "sys/fs/cgroup/memory/slurm/uid_1000/job_7": v1(700 * MiB, 350 * MiB, 50 * MiB),
                "sys/fs/cgroup/memory/slurm/uid_1000": v1(NONE, 300 * MiB),
                "sys/fs/cgroup/memory": v1(NONE, 9000 * MiB),
                "sys/fs/cgroup/unified/system.slice/slurmd.service": {},
            },
            400,
            id="SLURM, version 1 beside 2",
        ),
        pytest.param(
            "0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0\n",
            [V2.format(top="/")],
            {
                "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7/step_0/user/task_0": v2("max", 300 * MiB),
                "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7": v2(3000 * MiB, 350 * MiB, 50 * MiB),
            },
            2700,
            id="SLURM",
        ),
        pytest.param(
            f"0::{USER}\n",
            [V2.format(top="/")],
            {
                f"sys/fs/cgroup{USER}": v2("max", 100 * MiB),
                "sys/fs/cgroup/user.slice/user-1000.slice": v2(3000 * MiB, 2000 * MiB),
                "sys/fs/cgroup/user.slice": v2(8000 * MiB, 2000 * MiB, high=2500 * MiB),
            },
            500,
            id="systemd: a slice above, and where it slows down",
        ),
        pytest.param(
            "0::/../../kubepods/pod1\n",
            [V2.format(top="/../..")],
            {"sys/fs/cgroup/kubepods/pod1": v2(900 * MiB, 500 * MiB), "sys/fs/cgroup": v2("max", 1)},
            400,
            id="a group outside of the namespace",
        ),
        pytest.param(
            "0::/elsewhere\n",
            [V2.format(top="/kubepods")],
            {"sys/fs/cgroup": v2(900 * MiB, 500 * MiB)},
            400,
            id="a group that is not mounted",
        ),
        pytest.param(
            "0::/a job\n",
            [V2.format(top="/").replace("/sys/fs/cgroup ", r"/my\040groups ")],
            {"my groups/a job": v2(900 * MiB, 900 * MiB + 5)},
            -5 / MiB,
            id="over its limit, with a space",
        ),
        pytest.param("0::/\n", [V2.format(top="/")], {"sys/fs/cgroup": v2("max", 100)}, None, id="no limit"),
        pytest.param("0::/\n", [V2.format(top="/")], {}, None, id="no files"),
        pytest.param("nonsense\n", ["nonsense", V2.format(top="/")], {}, None, id="nonsense"),
    ],
)
def test_the_tightest_limit_counts(
    tmp_path: Path, own: str, mounts: list[str], groups: dict[str, dict[str, int | str]], left: float | None
) -> None:
    machine(tmp_path, own, mounts, groups)
    assert memory_groups.free_bytes(tmp_path) == (None if left is None else left * MiB)


def test_a_system_without_groups_has_no_limit(tmp_path: Path) -> None:
    assert memory_groups.free_bytes(tmp_path) is None


def test_what_a_group_leaves_is_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(memory_groups, "free_bytes", lambda: 7 * MiB)
    assert devices.free_bytes(torch.device("cpu")) == 7 * MiB
    monkeypatch.setattr(memory_groups, "free_bytes", lambda: -1)
    assert devices.free_bytes(torch.device("cpu")) == 0
