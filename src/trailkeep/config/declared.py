"""Every setting there is, declared once: its name, where it may be set, what it takes, its default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trailkeep.config import values
from trailkeep.config.secret import MASK, Secret
from trailkeep.config.values import MAX_CONCURRENCY, MAX_THREADS, MAX_TIMEOUT, MIN_MEMORY_MIB, Place
from trailkeep.streams import KINDS, RETENTION_DAYS
from trailkeep.timespan import format_age

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

DEFAULT_REGIONS = ("fr-par", "nl-ams", "pl-waw")
DEFAULT_API_URL = "https://api.scaleway.com"

_ACCESS_KEY = re.compile(r"SCW[A-Z0-9]{17}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting; `flag`, `environment`, `toml_key` and `scw_key` say where it may be set."""

    name: str
    """The attribute of `Settings` that holds its value."""
    description: str
    expects: str
    """What a value must be; completes the sentence "it must be ..."."""
    parse: Callable[[str, Place], object]
    """One value from its text; raises ValueError."""
    default: object = None
    separator: str | None = None
    """What stands between the values in an environment variable; None where there is only one value."""
    may_be_empty: bool = False
    """Whether a list without values is one."""
    toml_type: type[str | int | bool] = str
    """The TOML type of a value, or of each value of a list."""
    flag: str | None = None
    environment: tuple[str, ...] = ()
    """Environment variables, the first that is set and not empty wins."""
    toml_key: str | None = None
    """Its key in trailkeep.toml."""
    scw_key: str | None = None
    """Its key in the scw CLI's config file."""
    quotable: bool = True
    """Whether an error may repeat a wrong value that came from a flag or the environment."""

    def value(self, texts: tuple[str, ...], place: Place) -> object:
        """The value that `texts` stand for. Raises ValueError where they do not make one."""
        if self.separator is None:
            (text,) = texts
            return self.parse(text, place)
        each = tuple(dict.fromkeys(self.parse(text, place) for text in texts))
        if not each and not self.may_be_empty:
            raise ValueError("there is no value")
        return each

    def texts(self, joined: str) -> tuple[str, ...]:
        """The texts that an environment variable holds."""
        if self.separator is None:
            return (joined,)
        return tuple(text for text in joined.split(self.separator) if text.strip())


def shown(value: object) -> object:
    """A value as JSON can hold it and a person may see it: a secret is masked."""
    if isinstance(value, tuple):
        return [shown(item) for item in value]
    if isinstance(value, timedelta):
        return format_age(value)
    if isinstance(value, (Path, Secret)):
        return str(value)
    return value


def shown_access_key(access_key: str | None) -> str | None:
    """The access key, which is no secret; masked where it looks like something else, maybe the other key."""
    return access_key if access_key is None or _ACCESS_KEY.fullmatch(access_key) else MASK


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="archive",
        description="The archive's folder; in a settings file, relative to that file.",
        expects="a path",
        parse=values.parse_path,
        default=Path("data"),
        flag="--archive",
        environment=("TRAILKEEP_ARCHIVE",),
        toml_key="archive",
    ),
    Setting(
        name="regions",
        description="The regions whose events are read.",
        expects="names such as fr-par, nl-ams or pl-waw",
        parse=values.parse_region,
        default=DEFAULT_REGIONS,
        separator=",",
        flag="--region",
        environment=("TRAILKEEP_REGIONS",),
        toml_key="regions",
    ),
    Setting(
        name="kinds",
        description="The kinds of events that are read.",
        expects=f"kinds of events: {', '.join(KINDS)}",
        parse=values.parse_kind,
        default=KINDS,
        separator=",",
        flag="--kind",
        environment=("TRAILKEEP_KINDS",),
        toml_key="kinds",
    ),
    Setting(
        name="overlap",
        description="How far before the covered end each sync starts, for events that appear late.",
        expects=f"a length of time such as 1h or 30m, at most {RETENTION_DAYS}d",
        parse=values.parse_overlap,
        default=timedelta(hours=1),
        flag="--overlap",
        environment=("TRAILKEEP_OVERLAP",),
        toml_key="overlap",
    ),
    Setting(
        name="concurrency",
        description="How many requests may be in flight at once.",
        expects=f"a whole number from 1 to {MAX_CONCURRENCY}",
        parse=values.parse_concurrency,
        default=16,
        toml_type=int,
        flag="--concurrency",
        environment=("TRAILKEEP_CONCURRENCY",),
        toml_key="concurrency",
    ),
    Setting(
        name="directory",
        description="Whether a sync looks at users, applications, groups, API keys, policies, SSH keys and Projects,"
        " too.",
        expects="true or false",
        parse=values.parse_truth,
        default=True,
        toml_type=bool,
        flag="--directory",
        environment=("TRAILKEEP_DIRECTORY",),
        toml_key="directory",
    ),
    Setting(
        name="queries",
        description="Folders with saved queries of your own; in a settings file, relative to that file.",
        expects="paths",
        parse=values.parse_path,
        default=(),
        separator=":",
        may_be_empty=True,
        environment=("TRAILKEEP_QUERIES",),
        toml_key="queries",
    ),
    Setting(
        name="mmdb",
        description="MMDB files that `ip_asn` and `ip_city` ask, the first that knows wins; needs the extra geo.",
        expects="paths",
        parse=values.parse_path,
        default=(),
        separator=":",
        may_be_empty=True,
        environment=("TRAILKEEP_MMDB",),
        toml_key="mmdb",
    ),
    Setting(
        name="memory",
        description="The memory that the process of a query is to stay within; beyond it, it sorts and joins on disk.",
        expects=f"a size such as 512MiB or 4GiB, at least {MIN_MEMORY_MIB}MiB",
        parse=values.parse_memory,
        default="1GiB",
        flag="--memory",
        environment=("TRAILKEEP_MEMORY",),
        toml_key="memory",
    ),
    Setting(
        name="threads",
        description="The threads that a query may run; as many as there are cores where not given.",
        expects=f"a whole number from 1 to {MAX_THREADS}",
        parse=values.parse_threads,
        toml_type=int,
        flag="--threads",
        environment=("TRAILKEEP_THREADS",),
        toml_key="threads",
    ),
    Setting(
        name="timeout",
        description="How long a query may take, from opening the archive to its last row.",
        expects=f"a length of time such as 30s or 10m, from 1s to {MAX_TIMEOUT.days}d, or none",
        parse=values.parse_timeout,
        flag="--timeout",
        environment=("TRAILKEEP_TIMEOUT",),
        toml_key="timeout",
    ),
    Setting(
        name="temp_directory",
        description="The folder for what a query cannot hold in memory; the system's place for temporary files where"
        " not given. In a settings file, relative to that file.",
        expects="a path",
        parse=values.parse_path,
        flag="--temp-directory",
        environment=("TRAILKEEP_TEMP_DIRECTORY",),
        toml_key="temp_directory",
    ),
    Setting(
        name="temp_disk",
        description="How much a query may write there.",
        expects="a size such as 512MiB or 20GiB",
        parse=values.parse_size,
        default="20GiB",
        flag="--temp-disk",
        environment=("TRAILKEEP_TEMP_DISK",),
        toml_key="temp_disk",
    ),
    Setting(
        name="sign_key",
        description="The private key that signs the ledger's head after every sync; in a settings file,"
        " relative to that file.",
        expects="a path",
        parse=values.parse_path,
        environment=("TRAILKEEP_SIGN_KEY",),
        toml_key="sign_key",
    ),
    Setting(
        name="access_key",
        description="The API key's public half. Only shown, never sent.",
        expects="an access key",
        parse=values.parse_key,
        environment=("SCW_ACCESS_KEY",),
        scw_key="access_key",
        quotable=False,
    ),
    Setting(
        name="secret_key",
        description="The API key's secret half. Not taken from trailkeep.toml, nor as a flag.",
        expects="a secret key",
        parse=values.parse_secret,
        environment=("SCW_SECRET_KEY",),
        scw_key="secret_key",
        quotable=False,
    ),
    Setting(
        name="organization_id",
        description="The Organization whose events are read.",
        expects="an Organization's id, which is a UUID",
        parse=values.parse_organization_id,
        environment=("TRAILKEEP_ORGANIZATION_ID", "SCW_DEFAULT_ORGANIZATION_ID"),
        toml_key="organization_id",
        scw_key="default_organization_id",
        quotable=False,
    ),
    Setting(
        name="project_id",
        description="The scw CLI's default Project. Shown only: a sync reads the whole Organization.",
        expects="a Project's id",
        parse=values.parse_key,
        environment=("SCW_DEFAULT_PROJECT_ID",),
        toml_key="project_id",
        scw_key="default_project_id",
        quotable=False,
    ),
    Setting(
        name="default_region",
        description="The scw CLI's default region. Shown only: `regions` says what is read.",
        expects="a region such as fr-par",
        parse=values.parse_region,
        environment=("SCW_DEFAULT_REGION",),
        toml_key="default_region",
        scw_key="default_region",
    ),
    Setting(
        name="api_url",
        description="The API's address. Plain http needs a loopback host, or `insecure`.",
        expects="an http or https URL without a user, a password or a query",
        parse=values.parse_api_url,
        default=DEFAULT_API_URL,
        environment=("TRAILKEEP_API_URL", "SCW_API_URL"),
        toml_key="api_url",
        scw_key="api_url",
        quotable=False,
    ),
    Setting(
        name="insecure",
        description="Do not check the API's certificate, and allow plain http.",
        expects="true or false",
        parse=values.parse_truth,
        default=False,
        toml_type=bool,
        environment=("SCW_INSECURE",),
        toml_key="insecure",
        scw_key="insecure",
    ),
    Setting(
        name="profile",
        description="The profile of the scw CLI's config file that overlays its root; `default` is the root.",
        expects="a profile's name",
        parse=values.parse_name,
        environment=("SCW_PROFILE",),
        toml_key="profile",
        scw_key="active_profile",
    ),
)


def flag_texts(value: object) -> tuple[str, ...] | None:
    """The texts that a flag was given as, or None where it was not given."""
    if value is None:
        return None
    if isinstance(value, (tuple, list)):
        return tuple(flag_text(item) for item in value) or None
    return (flag_text(value),)


def flag_text(value: object) -> str:
    """One value of a flag as text, also where the command line had read it already."""
    return format_age(value) if isinstance(value, timedelta) else str(cast("str | os.PathLike[str]", value))
