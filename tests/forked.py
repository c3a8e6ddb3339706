"""The program as a process of its own that begins with everything imported: a user's run without a second of start-up.

Run as a script, this file is the process that has imported everything. It forks for each order; what it forks is given
the order's files, folder and environment, and is `python -m trailkeep` from there to its end. What is said about
start-up itself is tested with a process that begins with nothing.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from contextlib import ExitStack, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRAM = (sys.executable, "-m", "trailkeep")
TIMEOUT_SECONDS = 120

LIBRARIES = """
    duckdb httpx msgspec numpy prompt_toolkit pyarrow pyarrow.compute pyarrow.csv pyarrow.dataset pyarrow.parquet
    rich.console rich.progress rich.table sqlglot sqlglot.optimizer.qualify stamina typer yaml
""".split()
_LENGTH_BYTES = 8
_STATUS_BYTES = 4
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "OMP_", "OPENBLAS_")


def run(
    arguments: tuple[str, ...],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes | int = b"",
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> subprocess.CompletedProcess[bytes]:
    """The program, ended. What it reads is bytes or an open file. Raises TimeoutExpired."""
    if any(_is_read_at_start(name, value) for name, value in env.items()):
        given: dict[str, Any] = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
        return subprocess.run(
            [*PROGRAM, *arguments], cwd=cwd, env=env, capture_output=True, timeout=timeout_seconds, **given
        )
    with ExitStack() as files:
        heard = [_Heard(files), _Heard(files)]
        reads = _spoken(files, stdin) if isinstance(stdin, bytes) else stdin
        told, tells = os.pipe()
        files.callback(os.close, told)
        try:
            order = {"arguments": arguments, "cwd": os.fspath(cwd), "env": dict(env)}
            _forker().order(order, [reads, *(each.writes for each in heard), tells])
        finally:
            os.close(tells)
            for each in heard:
                each.begin()
        pid = int.from_bytes(_read(told, _STATUS_BYTES))
        with selectors.DefaultSelector() as selector:
            selector.register(told, selectors.EVENT_READ)
            if not selector.select(timeout_seconds):
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired([*PROGRAM, *arguments], timeout_seconds)
        status = int.from_bytes(_read(told, _STATUS_BYTES))
        stdout, stderr = (each.end() for each in heard)
    return subprocess.CompletedProcess([*PROGRAM, *arguments], os.waitstatus_to_exitcode(status), stdout, stderr)


def run_text(
    arguments: tuple[str, ...],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: str | int = "",
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """The same with text, its ends of lines as Python reads them."""
    said = stdin.encode() if isinstance(stdin, str) else stdin
    done = run(arguments, cwd=cwd, env=env, stdin=said, timeout_seconds=timeout_seconds)
    stdout, stderr = (each.decode().replace("\r\n", "\n").replace("\r", "\n") for each in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, stdout, stderr)


def _is_read_at_start(name: str, value: str) -> bool:
    """Whether a variable is one that the interpreter or a library has read by the time of the fork."""
    if (name, value) == ("PYTHONWARNINGS", "error"):
        return False
    return name.startswith(_READ_AT_START) and os.environ.get(name) != value


class _Heard:
    """A pipe, and a thread that reads what the program writes to it."""

    def __init__(self, files: ExitStack) -> None:
        self._reads, self.writes = os.pipe()
        self._said = b""
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def begin(self) -> None:
        os.close(self.writes)
        self._thread.start()

    def _listen(self) -> None:
        with os.fdopen(self._reads, "rb") as pipe:
            self._said = pipe.read()

    def end(self) -> bytes:
        self._thread.join()
        return self._said


def _spoken(files: ExitStack, said: bytes) -> int:
    """The end of a pipe that the program reads `said` from."""
    reads, writes = os.pipe()
    files.callback(os.close, reads)

    def speak() -> None:
        with suppress(BrokenPipeError), os.fdopen(writes, "wb") as pipe:
            pipe.write(said)

    threading.Thread(target=speak, daemon=True).start()
    return reads


class _Forker:
    """The process that forks, from the side of those who give the orders."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCW_", "TRAILKEEP_"))}
        # Threads do not survive a fork, and numpy would begin some.
        more = {"PYTHONWARNINGS": "error", "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=kept | more,
                pass_fds=[theirs.fileno()],
            )
        self._lock = threading.Lock()
        atexit.register(self.close)

    def order(self, order: dict[str, Any], files: list[int]) -> None:
        written = json.dumps(order).encode()
        with self._lock:
            socket.send_fds(self._socket, [len(written).to_bytes(_LENGTH_BYTES)], files)
            self._socket.sendall(written)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


@cache
def _forker() -> _Forker:
    return _Forker()


def _read(descriptor: int, length: int) -> bytes:
    read = b""
    while len(read) < length:
        more = os.read(descriptor, length - len(read))
        assert more, "the process that forks has ended"
        read += more
    return read


# The process that forks


def _modules() -> Iterator[str]:
    import trailkeep

    yield from LIBRARIES
    for module in walk_packages(trailkeep.__path__, "trailkeep."):
        if module.name != "trailkeep.__main__":
            yield module.name


def _import_everything() -> None:
    import typer.main

    from trailkeep.cli import register_commands
    from trailkeep.cli.app import app

    register_commands()
    # What the commands are follows from their functions alone, and takes longer to find than most of them take.
    typer.main.get_command = cache(typer.main.get_command)
    typer.main.get_command(app)
    for name in _modules():
        with suppress(ImportError):  # an extra that is not installed
            import_module(name)


def _serve(orders: socket.socket) -> None:
    """Fork for each order until nobody can give one any more, and tell how each fork ended."""
    awaited: dict[int, int] = {}
    ended, ends = os.pipe()
    os.set_blocking(ends, False)
    signal.set_wakeup_fd(ends)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with selectors.DefaultSelector() as selector:
        selector.register(orders, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == ended:
                    os.read(ended, 4096)
                    _tell_ends(awaited)
                    continue
                length, files, _, _ = socket.recv_fds(orders, _LENGTH_BYTES, 4)
                if not length:
                    return
                order = json.loads(_read(orders.fileno(), int.from_bytes(length)))
                with warnings.catch_warnings(action="ignore"):  # of threads: none of them does anything here
                    pid = os.fork()
                if pid == 0:
                    for each in (orders.fileno(), ended, ends, files.pop(), *awaited.values()):
                        os.close(each)
                    _become(order, files)
                *theirs, tells = files
                for each in theirs:
                    os.close(each)
                os.write(tells, pid.to_bytes(_STATUS_BYTES))
                awaited[pid] = tells


def _tell_ends(awaited: dict[int, int]) -> None:
    for pid in [*awaited]:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            tells = awaited.pop(pid)
            with suppress(BrokenPipeError):
                os.write(tells, status.to_bytes(_STATUS_BYTES))
            os.close(tells)


def _become(order: dict[str, Any], files: list[int]) -> None:
    """Be the program, and never return."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, each in enumerate(files):
        os.dup2(each, number)
        os.close(each)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    sys.argv = ["trailkeep", *order["arguments"]]
    status: Any = 0
    try:
        runpy.run_module("trailkeep", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        status = ended.code
    except BaseException:  # noqa: BLE001 - told as the interpreter tells it
        status = 1
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    # As the interpreter ends, but for the taking apart of every module: that would touch, and so copy, all its memory.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _import_everything()
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as given:
        _serve(given)
    os._exit(0)  # freezing leaves what the engine complains of at an ordinary end
