"""The cache folder is private, whole, and never in the way."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from qlearn.errors import UserError
from qlearn.kernels import cache

posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache folder of the test's own, and no temporary folder from earlier tests."""
    monkeypatch.setattr(cache, "_temporary_folder", None)
    monkeypatch.setenv("QLEARN_CACHE", str(tmp_path / "a" / "cache"))
    return tmp_path / "a" / "cache"


@posix
def test_the_folder_is_made_private_whatever_the_umask(home):
    before = os.umask(0)
    try:
        cache.store("kernel", {"kernel.py": "x = 1\n"})
    finally:
        os.umask(before)
    for folder in (home, home / "kernels", home / "kernels" / "kernel"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o777])
@pytest.mark.parametrize("which", [".", "kernels"])
def test_a_folder_that_others_can_write_to_is_refused(home, mode, which):
    (home / which).mkdir(parents=True)
    home.chmod(0o700)
    (home / which).chmod(mode)
    with pytest.raises(UserError, match=r"others can write to the cache folder .*; chmod 700 it"):
        cache.store("kernel", {"kernel.py": ""})
    assert not (home / "kernels" / "kernel").exists()


@posix
def test_a_folder_that_others_can_only_read_is_fine(home):
    home.mkdir(parents=True, mode=0o755)
    assert cache.folder() == home


@posix
def test_a_folder_of_another_user_is_refused(home, monkeypatch):
    cache.folder()
    monkeypatch.setattr(os, "getuid", lambda: home.stat().st_uid + 1)
    with pytest.raises(UserError, match="belongs to another user; set QLEARN_CACHE"):
        cache.folder()


def test_where_nothing_can_be_written_a_temporary_folder_serves(home, monkeypatch):
    home.parent.write_text("a file where a folder should be")
    folder = cache.folder()
    assert folder != home
    assert folder == cache.folder()  # one for the whole process
    cache.store("kernel", {"kernel.py": ""})
    assert (folder / "kernels" / "kernel" / "kernel.py").exists()
    if hasattr(os, "getuid"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_read_only_folder_is_not_used(home, monkeypatch):
    home.mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != home)
    assert cache.folder() != home


def test_a_user_without_a_home_gets_a_temporary_folder(monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("QLEARN_CACHE")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert cache.folder().is_dir()


def test_the_temporary_folder_goes_with_its_process(home):
    home.parent.write_text("")
    code = "from qlearn.kernels import cache; print(cache.store('k', {'kernel.py': ''}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    made = Path(run.stdout.strip())
    assert made.name == "k"
    assert not made.parents[1].exists()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the folders of Linux")
def test_the_platforms_folder_without_our_variable(tmp_path, monkeypatch):
    monkeypatch.delenv("QLEARN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folder() == tmp_path / "xdg" / "qlearn"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "qlearn"


def test_keys_depend_on_every_part_and_where_it_ends():
    keys = {cache.key(*parts) for parts in [("a", "bc"), ("ab", "c"), ("abc",), ("a", "b", "c")]}
    assert len(keys) == 4
    assert cache.key("a", "bc") in keys


def test_what_is_stored_is_not_written_again(home):
    first = cache.store("kernel", {"kernel.py": "x = 1\n"})
    (first / "compiled").write_text("machine code")
    assert cache.store("kernel", {"kernel.py": "x = 1\n"}) == first
    assert (first / "compiled").read_text() == "machine code"


def test_many_at_once_store_one_whole_folder(home):
    barrier = Barrier(8)

    def store(_):
        barrier.wait()
        return (cache.store("kernel", {"a.py": "a" * 10_000, "b.py": "b"}) / "a.py").read_text()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(store, range(8))) == {"a" * 10_000}
    assert [entry.name for entry in (home / "kernels").iterdir()] == ["kernel"]


def test_old_modules_are_forgotten_and_used_ones_are_not(home):
    old, used, young = (cache.store(name, {"kernel.py": ""}) for name in ("old", "used", "young"))
    long_ago = time.time() - (cache.KEPT_DAYS + 1) * 86400
    for folder in (old, used):
        os.utime(folder, (long_ago, long_ago))
    cache.store("used", {"kernel.py": ""})
    cache.store("new", {"kernel.py": ""})
    assert not old.exists()
    assert used.exists()
    assert young.exists()
