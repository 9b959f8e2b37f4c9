"""What is free is known: of the machine, of its control groups, and of what is taken together."""

from __future__ import annotations

import pytest

from qlearn import memory
from qlearn.errors import UserError

MB = 10**6


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """One with 800 MB to be had; gives what makes a control group of it."""
    (tmp_path / "self").mkdir()
    (tmp_path / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable: {800 * MB // 1024} kB\n")
    monkeypatch.setattr(memory, "PROC", tmp_path)
    groups = {
        kind: (str(tmp_path / f"g{kind}"), *rest) for kind, (_, *rest) in memory.GROUPS.items()
    }
    monkeypatch.setattr(memory, "GROUPS", groups)

    def group(kind, path, limit, used, cache):
        home, most, now, stat = groups[kind]
        place = tmp_path / f"{home}{path}"
        place.mkdir(parents=True)
        (place / most).write_text(f"{limit}\n")
        (place / now).write_text(f"{used}\n")
        (place / "memory.stat").write_text(f"anon 5\n{stat} {cache}\n")

    def within(*lines):
        (tmp_path / "self" / "cgroup").write_text("\n".join(lines) + "\n")
        return round(memory.available_megabytes())

    return group, within


def test_the_system_says_how_much_memory_is_free():
    assert 10 < memory.available_megabytes() < 1e9


def test_without_control_groups_all_of_the_machine_is_free(machine):
    _, within = machine
    assert within("0::/", "3:cpu:/", "4:memory:/") == 800


def test_a_container_has_what_it_was_given(machine):
    group, within = machine
    group("", "/", 500 * MB, 120 * MB, 20 * MB)
    assert within("0::/") == 400  # what is read from disks only can be had back
    assert within("0::/docker/of-the-host") == 400


def test_the_narrowest_group_counts(machine):
    group, within = machine
    group("", "/a/b", "max", 120 * MB, 0)
    assert within("0::/a/b") == 800
    group("memory", "/c", 2**63 - 4096, 100 * MB, 0)
    assert within("4:memory:/c", "0::/a/b") == 800
    group("memory", "/c/d", 90 * MB, 100 * MB, 0)
    assert within("4:memory:/c/d", "0::/a/b") == 0


def test_what_is_taken_together_must_fit_together(monkeypatch):
    monkeypatch.setattr(memory, "available_megabytes", lambda: 100.0)
    for _ in range(3):
        memory.refuse_beyond("a list takes", 70 * MB, "a shorter one fits")
    with memory.together():
        memory.refuse_beyond("a list takes", 70 * MB, "a shorter one fits")
        with memory.together(), pytest.raises(UserError) as refused:
            memory.refuse_beyond("a list takes", 31 * MB, "a shorter one fits")
        memory.refuse_beyond("a list takes", 30 * MB, "a shorter one fits")
    assert str(refused.value) == (
        "a list takes 31 MB, and 30 MB of memory are free; a shorter one fits"
    )
    memory.refuse_beyond("a list takes", 100 * MB, "a shorter one fits")
