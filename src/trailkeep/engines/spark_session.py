"""A session of Spark that counts in UTC, refuses what does not fit, and talks to nobody."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import sys
import tempfile
import warnings
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trailkeep.errors import QueryError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_MASTER = "local[2]"

_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.variant.allowDuplicateKeys": "true",
    # Queries follow keys until there are no more.
    "spark.sql.cteRecursionLevelLimit": "10000",
    "spark.sql.cteRecursionRowLimit": "-1",
}
"""Of each of our sessions, whatever else the application's others have."""

_AT_START = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
_LOCAL = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    # The tables are small beside what Spark's 200 partitions are made for.
    "spark.sql.shuffle.partitions": "4",
}


def session_of(master: str | None) -> Any:
    """A session of its own in the application that runs, or that is started at `master`.

    Raises UsageError where pyspark or Java is missing, QueryError where Spark does not start.
    """
    # It does not know the newest pandas, which we do not use with it.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"pyspark(\..*)?")
    try:
        kind = import_module("pyspark.sql").SparkSession
        failure = import_module("pyspark.errors").PySparkException
    except ImportError as error:
        raise UsageError("pyspark is not installed", hint='Run: pip install "trailkeep[spark]"') from error
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)  # it repeats every error on stderr
    running = kind.getActiveSession()
    master = master or DEFAULT_MASTER
    if running is None:
        check_java()
        running = _start(kind, failure, master)
    session = running.newSession()
    for name, value in _SETTINGS.items():
        session.conf.set(name, value)
    return session


def check_java() -> None:
    """Raise UsageError where there is no Java that Spark could run on."""
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=str(Path(home) / "bin") if home else None) is None:
        where = f"in JAVA_HOME ({home})" if home else "on the PATH"
        raise UsageError(f"Spark needs Java, and there is no java {where}", hint="Install Java 17 or newer.")


def _start(kind: Any, failure: type[Exception], master: str) -> Any:
    """Start the application; what its JVM says goes to a file, and is told where it does not start."""
    folder = Path(tempfile.mkdtemp(prefix="trailkeep-spark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = {"spark.sql.warehouse.dir": str(folder / "warehouse"), **_AT_START}
    if master.startswith("local"):
        settings |= _LOCAL
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = kind.builder.master(master).appName("trailkeep")
    for name, value in settings.items():
        builder = builder.config(name, value)
    said = folder / "jvm.txt"
    try:
        with _stderr_to(said):
            return builder.getOrCreate()
    except (failure, RuntimeError, OSError, ValueError) as error:
        lines = [*str(error).splitlines(), *said.read_text(encoding="utf-8", errors="replace").splitlines()]
        told = next((line for line in lines if "Exception" in line or "Error" in line), lines[0] if lines else "")
        raise QueryError(
            f"Spark did not start at {master}: {told.strip()}",
            hint="It needs Java 17 or newer; --master names where it runs, such as local[2].",
        ) from error


@contextlib.contextmanager
def _stderr_to(file: Path) -> Iterator[None]:
    """What is started meanwhile writes its stderr to `file` for as long as it lives: nothing else silences Java."""
    sys.stderr.flush()
    before = os.dup(2)
    try:
        with file.open("wb") as target:
            os.dup2(target.fileno(), 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
