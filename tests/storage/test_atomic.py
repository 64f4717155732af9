"""A target holds its old content or its new content after every failure, and no temporary file stays behind."""

import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from enilnets.errors import ConfigError
from enilnets.storage import atomic
from enilnets.storage.atomic import write_atomically

ROOT = Path(__file__).parents[2]
OLD, NEW = b"old content", b"new content"


def names(directory):
    return sorted(os.listdir(directory))


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(OLD)
    return path


def test_creates_and_replaces(tmp_path):
    path = tmp_path / "model.bin"
    write_atomically(path, [b"ab", memoryview(b"cd"), b""])
    assert path.read_bytes() == b"abcd"
    write_atomically(str(path), (part for part in [b"e"]))
    assert path.read_bytes() == b"e"
    write_atomically(path, [])
    assert path.read_bytes() == b""
    assert names(tmp_path) == ["model.bin"]


def test_old_file_stays_readable_until_the_end(target):
    def chunks():
        yield NEW
        assert target.read_bytes() == OLD
        assert [name for name in names(target.parent) if name.startswith(".model.bin.") and name.endswith(".tmp")]

    with open(target, "rb") as reader:
        write_atomically(target, chunks())
        assert reader.read() == OLD
    assert target.read_bytes() == NEW


def test_data_reaches_the_disk_before_the_name_and_the_name_before_the_return(target, monkeypatch):
    calls = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(descriptor):
        calls.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else os.fstat(descriptor).st_size)
        real_sync(descriptor)

    def replace(source, destination):
        calls.append("replace")
        real_replace(source, destination)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    write_atomically(target, [NEW])
    assert calls == [len(NEW), "replace", "directory"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o755])
def test_permissions_of_the_old_file_are_kept(target, mode):
    target.chmod(mode)
    write_atomically(target, [NEW])
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_data_for_a_private_file_is_private_from_the_start(target):
    target.chmod(0o600)
    seen = []

    def chunks():
        for name in names(target.parent):
            seen.append(stat.S_IMODE((target.parent / name).stat().st_mode))
        yield NEW

    write_atomically(target, chunks())
    assert seen == [0o600, 0o600]


def test_new_file_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "model.bin", [NEW])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model.bin").stat().st_mode) == 0o640


def test_symbolic_link_is_followed_and_stays(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.bin"
    link.symlink_to(Path("real") / "model.bin")
    for content in (OLD, NEW):  # first a dangling link, then one to a file
        write_atomically(link, [content])
        assert link.is_symlink()
        assert (tmp_path / "real" / "model.bin").read_bytes() == content
    assert names(tmp_path) == ["link.bin", "real"]
    assert names(tmp_path / "real") == ["model.bin"]


def test_circular_link_is_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_atomically(tmp_path / "a", [NEW])
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("kind", ["directory", "FIFO", "socket"])
def test_special_files_are_refused(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # a socket's address has at most 107 bytes
    path = Path("x")
    if kind == "directory":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("x")
    with pytest.raises(ConfigError, match=f"expected a regular file or a new name, got a {kind}"):
        write_atomically(path, [NEW])
    assert names(tmp_path) == ["x"]


def test_link_to_a_directory_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="got a directory"):
        write_atomically(tmp_path / "link", [NEW])


@pytest.mark.parametrize("device", ["/dev/null", "/dev/full"])
def test_devices_are_refused(device):
    with pytest.raises(ConfigError, match="got a character device"):
        write_atomically(device, [NEW])
    assert stat.S_ISCHR(os.stat(device).st_mode)


def test_bad_names(tmp_path):
    with pytest.raises(ConfigError, match="the name of a directory"):
        write_atomically(f"{tmp_path}/new/", [NEW])
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "model.bin", [NEW])
    with pytest.raises(ValueError, match="null"):
        write_atomically(f"{tmp_path}/a\0b", [NEW])
    with pytest.raises(TypeError):
        write_atomically(3, [NEW])
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["m" * 255, "ü" * 127, "a b\n*[]", "-rf", ".hidden"])
def test_unusual_names(tmp_path, name):
    write_atomically(tmp_path / name, [NEW])
    assert (tmp_path / name).read_bytes() == NEW
    assert names(tmp_path) == [name]


FAILURES = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EIO, "Input/output error"),
    KeyboardInterrupt(),
    MemoryError(),
]


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
@pytest.mark.parametrize("call", ["open", "fstat", "chmod", "fsync", "replace"])
def test_every_call_failing_in_turn_keeps_the_old_file(target, monkeypatch, call, failure):
    def fail(*_args, **_kwargs):
        raise failure

    monkeypatch.setattr(os, call, fail)
    if call == "chmod":
        monkeypatch.setattr(os, "supports_fd", set())
    with pytest.raises(type(failure)) as caught:
        write_atomically(target, [NEW])
    monkeypatch.undo()
    assert caught.value is failure
    assert target.read_bytes() == OLD
    assert names(target.parent) == ["model.bin"]


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
@pytest.mark.parametrize("after", [0, 1, 5])
def test_failing_source_keeps_the_old_file(target, failure, after):
    def chunks():
        for _ in range(after):
            yield bytes(100_000)
        raise failure

    with pytest.raises(type(failure)):
        write_atomically(target, chunks())
    assert target.read_bytes() == OLD
    assert names(target.parent) == ["model.bin"]


def test_chunk_that_is_no_bytes_keeps_the_old_file(target):
    with pytest.raises(TypeError):
        write_atomically(target, [b"x", "text"])
    assert target.read_bytes() == OLD
    assert names(target.parent) == ["model.bin"]


def test_failure_to_synchronise_the_directory_is_told_with_the_new_file_in_place(target, monkeypatch):
    real = os.fsync

    def sync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(OSError, match="Input/output"):
        write_atomically(target, [NEW])
    assert target.read_bytes() == NEW
    assert names(target.parent) == ["model.bin"]


def test_directory_that_cannot_be_synchronised_is_accepted(target, monkeypatch):
    real = os.fsync

    def sync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    write_atomically(target, [NEW])
    assert target.read_bytes() == NEW


def test_file_size_limit_at_every_part_of_the_write(target):
    """The kernel itself refuses to let the file grow, which acts as a full disk does, and needs no root."""
    script = (
        "import resource, sys\n"
        "from enilnets.storage.atomic import write_atomically\n"
        "for limit in (0, 1, 4096, 100_000, 299_999, 300_000):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        write_atomically(sys.argv[1], [bytes(100), bytes(99_900), bytes(200_000)])\n"
        "    except OSError as error:\n"
        "        sys.stdout.write(f'{error.errno} ')\n"
        "    else:\n"
        "        sys.stdout.write('written ')\n"
        "    sys.stdout.write(f'{len(open(sys.argv[1], \"rb\").read())}\\n')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(target)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.splitlines() == [f"{errno.EFBIG} {len(OLD)}"] * 5 + ["written 300000"]
    assert names(target.parent) == ["model.bin"]


def test_directory_without_write_permission(target, monkeypatch):
    real = os.open

    def refuse(path, flags, *args, **kwargs):  # chmod would not refuse the superuser
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        write_atomically(target, [NEW])
    assert target.read_bytes() == OLD
    assert names(target.parent) == ["model.bin"]


def test_read_only_file_is_protected(target, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # chmod would not refuse the superuser
    with pytest.raises(PermissionError):
        write_atomically(target, [NEW])
    assert target.read_bytes() == OLD


def test_abandoned_temporaries_are_removed(target):
    directory = target.parent
    now = target.stat().st_mtime

    def place(name, age, content=b"x"):
        (directory / name).write_bytes(content)
        os.utime(directory / name, (now - age, now - age))

    limit = atomic.ABANDONED_AFTER_SECONDS
    place(".model.bin.0123456789abcdef.tmp", limit + 60)
    place(".model.bin.00000000000000aa.tmp", limit - 60)  # may still be written
    place(".model.bin.old.tmp", limit * 10)  # not named by us
    place(".model_bin.0123456789abcdef.tmp", limit * 10)  # the dot of the name is no wildcard
    place(".other.bin.0123456789abcdef.tmp", limit * 10)  # for another target
    place("notes.txt", limit * 10)
    (directory / ".model.bin.00000000000000bb.tmp").mkdir()
    os.utime(directory / ".model.bin.00000000000000bb.tmp", (0, 0))
    outside = directory / "outside"
    place("outside", limit * 10)
    (directory / ".model.bin.00000000000000cc.tmp").symlink_to(outside)
    os.utime(directory / ".model.bin.00000000000000cc.tmp", (0, 0), follow_symlinks=False)

    before = set(names(directory))
    write_atomically(target, [NEW])
    assert before - set(names(directory)) == {".model.bin.0123456789abcdef.tmp"}
    assert target.read_bytes() == NEW


def test_listing_that_fails_does_not_stop_the_write(target, monkeypatch):
    def fail(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", fail)
    write_atomically(target, [NEW])
    assert target.read_bytes() == NEW


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "model.bin"

    def outer():
        yield b"outer "
        write_atomically(path, [b"inner"])
        assert path.read_bytes() == b"inner"
        yield b"done"

    write_atomically(path, outer())
    assert path.read_bytes() == b"outer done"
    assert names(tmp_path) == ["model.bin"]
