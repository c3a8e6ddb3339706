"""Where the bytes of a result go: stdout, or a file that is there only when it is whole."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from trailkeep.cli import output
from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Measured:
    """A sink that counts and hashes what passes it on its way to another."""

    def __init__(self, sink: BinaryIO) -> None:
        import hashlib

        self._sink = sink
        self._digest = hashlib.sha256()
        self.bytes = 0
        self.closed = False

    def write(self, content: bytes) -> int:
        """Hand on all of `content`."""
        view = memoryview(content)
        self._sink.write(view)
        self._digest.update(view)
        self.bytes += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        """Hand on what the other sink holds back."""
        self._sink.flush()

    def tell(self) -> int:
        """How many bytes have passed."""
        return self.bytes

    def writable(self) -> bool:
        """Always."""
        return True

    def readable(self) -> bool:
        """Never."""
        return False

    def seekable(self) -> bool:
        """Never."""
        return False

    @property
    def sha256(self) -> str:
        """Of all bytes that have passed."""
        return self._digest.hexdigest()


@contextlib.contextmanager
def opened(target: Path | None, option: str = "--output") -> Iterator[BinaryIO]:
    """Stdout, or a new file that takes `target`'s name only when it is whole and on the disk.

    A link is followed, so that it stays one. A device or a pipe cannot be replaced and is written to as it is.
    Raises UsageError where the target cannot be written; what was in it is still there then.
    """
    if target is None:
        try:
            yield output.binary_stdout()
        except BrokenPipeError:
            raise
        except OSError as error:
            output.discard()
            raise UsageError(f"stdout cannot be written: {error.strerror or error}") from error
        return
    try:
        # By its own name: what /dev/stdout leads to has none where it is a pipe.
        opening = target.open("wb") if _is_special(target) else None
    except OSError as error:
        raise _unwritable(target, option, error) from error
    if opening is not None:
        with _errors_of(target, option), opening:
            yield opening
            opening.flush()
        return
    place = Path(os.path.realpath(target))
    with _errors_of(target, option):
        # The name may be as long as names can be: the draft's is made without it.
        descriptor, name = tempfile.mkstemp(prefix=".trailkeep-", suffix=".part", dir=place.parent)
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield cast("BinaryIO", file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(place)
            _sync_folder(place.parent)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def check(target: Path, archive: Path, option: str = "--output") -> None:
    """Refuse to write where evidence lies. Raises UsageError."""
    try:
        place = target.resolve()
        folder = place.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{target} cannot be written: {error}", hint=f"Name another file with {option}.") from error
    if folder:
        raise UsageError(f"{target} is a folder", hint=f"Name a file with {option}.")
    if place.is_relative_to(archive.resolve()):
        raise UsageError(
            f"{target} lies inside the archive {archive}, which holds evidence only",
            hint=f"Name a file outside it with {option}.",
        )
    if not place.parent.is_dir():
        raise UsageError(
            f"{target} cannot be written: No such file or directory",
            hint=f"Make the folder {target.parent}, or name another file with {option}.",
        )


def is_terminal(target: Path) -> bool:
    """Whether a person sees what is written to `target`, as to /dev/tty."""
    try:
        if not stat.S_ISCHR(target.stat().st_mode):
            return False
        descriptor = os.open(target, os.O_WRONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.isatty(descriptor)
    finally:
        os.close(descriptor)


def same_file(one: Path, other: Path) -> bool:
    """Whether both names lead to the same file, or will."""
    with contextlib.suppress(OSError):
        if one.samefile(other):
            return True
    return os.path.realpath(one) == os.path.realpath(other)


@contextlib.contextmanager
def _errors_of(target: Path, option: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(target, option, error) from error


def _is_special(place: Path) -> bool:
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode)


def _sync_folder(folder: Path) -> None:
    """Make the new name as durable as the file; some file systems do not let folders be opened for that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unwritable(target: Path, option: str, error: OSError) -> UsageError:
    return UsageError(
        f"{target} cannot be written: {error.strerror or error}", hint=f"Name another file with {option}."
    )
