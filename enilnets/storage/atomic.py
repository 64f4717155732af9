"""Replace a file in one step: a reader, a crash or a full disk meets the old file or the new one, never a mixture.

And open one for reading: what is no regular file is refused.

>>> write_atomically("digits.bin", [b"header", b"data"])
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from io import BufferedReader

from ..errors import ConfigError, ModelFormatError

__all__ = ["open_regular", "write_atomically"]

# A writer touches its temporary file with every write, so one that has not changed for this long belongs to a process
# that died. Age is used rather than a process id in the name, because a directory may be shared with other machines
# and containers, where the same id means another process. Should the rule ever err (a writer suspended for an hour),
# that writer's save fails with FileNotFoundError and its old file stays: nothing is corrupted.
ABANDONED_AFTER_SECONDS = 3600.0

# Part of the target's name that the temporary name repeats: 50 characters are at most 200 bytes, so that the whole
# stays below the 255 bytes that file systems allow.
_STEM_CHARACTERS = 50

_KINDS = {
    stat.S_IFREG: "a regular file",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}

# Answers of platforms and file systems on which a directory cannot be opened or synchronised.
_DIRECTORY_CANNOT_SYNC = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS}


def _file_kind(mode: int) -> str:
    """Say in words what ``st_mode`` describes, such as ``"a directory"``."""
    return _KINDS.get(stat.S_IFMT(mode), "a special file")


def write_atomically(path: str | os.PathLike[str], chunks: Iterable[bytes | memoryview]) -> None:
    """Write ``chunks`` to ``path`` so that the old content stays until the new content is safely on disk.

    The data goes to ``.<name>.<random>.tmp`` in the same directory, is flushed and synchronised, takes the place of
    the target in one step, and then the directory is synchronised too. Leftovers of dead processes for the same
    target are removed first, so that they cannot be what fills the disk.

    Parameters
    ----------
    path : str or path-like
        The file to create or replace. A symbolic link is followed and the file it points to is replaced. Permission
        bits of an existing file are kept; a new file gets those of the umask. Owner, extended attributes and other
        hard links are not carried over.
    chunks : iterable of bytes or memoryview
        The content, in order. It may be a generator; an exception it raises cancels the write.

    Raises
    ------
    ConfigError
        If ``path`` is a directory, FIFO, device or socket.
    OSError
        Whatever the system answered: no space, no permission, no such directory, input/output error. The old file is
        untouched and no temporary file is left. Only a failure to synchronise the directory itself, the last step,
        is raised with the new file complete and in place.
    """
    target = os.path.realpath(os.fsdecode(path))
    permissions = _permissions_of(path, target)
    directory, name = os.path.split(target)
    temporary = os.path.join(directory, f".{name[:_STEM_CHARACTERS]}.{os.urandom(8).hex()}.tmp")
    try:
        _write(temporary, name, permissions, chunks)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_directory(directory)


def _permissions_of(path: str | os.PathLike[str], target: str) -> int | None:
    """Return the permission bits of the file to be replaced, None if there is none, and refuse what is no file."""
    if os.fsdecode(path).endswith(os.sep):
        raise ConfigError(f"write_atomically({path})", "the name of a file", "the name of a directory")
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        directory = os.path.dirname(target)
        if not os.path.isdir(directory):  # otherwise the message would name the temporary file
            raise FileNotFoundError(errno.ENOENT, "No such folder", directory) from None
        return None
    if not stat.S_ISREG(mode):
        raise ConfigError(
            f"write_atomically({path})", "a regular file or a new name", _file_kind(mode), "choose another file name"
        )
    # Replacing needs only a writable directory; a file marked read-only is protected on purpose all the same.
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
    return stat.S_IMODE(mode) & 0o777


def _write(temporary: str, name: str, permissions: int | None, chunks: Iterable[bytes | memoryview]) -> None:
    """Create ``temporary``, fill it and wait until the disk has it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    # Private until complete when it replaces a file: that one may hold what others must not read.
    descriptor = os.open(temporary, flags, 0o666 if permissions is None else 0o600)
    with open(descriptor, "wb") as file:
        _remove_abandoned(os.path.dirname(temporary), name, os.fstat(descriptor).st_mtime)
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        if permissions is not None:
            os.chmod(descriptor if os.chmod in os.supports_fd else temporary, permissions)
        os.fsync(descriptor)


def _remove_abandoned(directory: str, name: str, now: float) -> None:
    """Remove temporary files for the target ``name`` that nobody has written to for an hour.

    ``now`` is the time that the file system gave a file just created: its clock may differ from this machine's.
    """
    temporary_name = re.compile(re.escape(f".{name[:_STEM_CHARACTERS]}.") + r"[0-9a-f]{16}\.tmp")
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if not temporary_name.fullmatch(entry.name):
                continue
            with suppress(OSError):  # Another process may have removed it in between; a leftover harms nobody.
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and now - found.st_mtime > ABANDONED_AFTER_SECONDS:
                    os.unlink(entry.path)


def _sync_directory(directory: str) -> None:
    """Make the new directory entry survive a power failure, where the platform can."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _DIRECTORY_CANNOT_SYNC:
            raise


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file; a FIFO or device is refused before it can block or act."""
    # Asked before opening, since opening alone can act on a device; and again after it, since the name may have moved.
    mode = os.stat(os.fspath(path)).st_mode
    if stat.S_ISREG(mode):
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = open(os.open(path, flags), "rb")  # noqa: SIM115 (the caller closes it)
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode):
            return file
        file.close()
    raise ModelFormatError(f"{path}", "a regular file", _file_kind(mode), "name the model file itself")
