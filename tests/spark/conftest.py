"""What the tests on Spark share; they need pyspark, which only ``make test-spark`` installs.

Their files are named so that a plain run of the tests does not collect them.
"""

from __future__ import annotations

import os
import shutil
import time

import pytest

from demo_archive import DemoArchive, demo_archive


def pytest_configure() -> None:
    os.environ["TZ"] = "America/New_York"  # nothing may depend on where this machine stands
    time.tzset()


def pytest_runtest_setup() -> None:
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Java is missing, and Spark runs on nothing else: install Java 17 or newer")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return demo_archive(tmp_path_factory)
