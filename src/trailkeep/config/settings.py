"""The settings of one run, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trailkeep.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from pathlib import Path

    from trailkeep.config.detections import Tuning
    from trailkeep.config.receivers import Receiver
    from trailkeep.config.secret import Secret
    from trailkeep.streams import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request to the API needs."""

    secret_key: Secret
    organization_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting's value; what each one means is said in `declared.SETTINGS`."""

    archive: Path
    regions: tuple[str, ...]
    kinds: tuple[Kind, ...]
    overlap: timedelta
    concurrency: int
    directory: bool
    queries: tuple[Path, ...]
    mmdb: tuple[Path, ...]
    memory: str
    threads: int | None
    timeout: timedelta | None
    temp_directory: Path | None
    temp_disk: str
    sign_key: Path | None
    access_key: str | None
    secret_key: Secret | None
    organization_id: str | None
    project_id: str | None
    default_region: str | None
    api_url: str
    """Without a slash at its end."""
    insecure: bool
    profile: str | None
    origins: Mapping[str, str]
    """Where each value came from, by the setting's name; ``default`` where nobody gave it."""
    settings_file: str | None = None
    """The trailkeep.toml that was read, as messages name it; None where there is none."""
    scw_file: str = ""
    """The scw CLI's config file, as messages name it, whether or not it is there."""
    tunings: Mapping[str, Tuning] = field(default_factory=dict)
    """How detections are tuned, by the names that trailkeep.toml gives them: not looked up yet."""
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    """Who is told of findings, by the names that trailkeep.toml gives them."""
    warnings: tuple[str, ...] = ()

    def credentials(self) -> Credentials:
        """What a request to the API needs. Raises ConfigError that says how to set what is missing."""
        if self.secret_key is not None and self.organization_id is not None:
            return Credentials(secret_key=self.secret_key, organization_id=self.organization_id)
        missing = {}
        if self.secret_key is None:
            missing["secret key"] = "SCW_SECRET_KEY"
        if self.organization_id is None:
            missing["Organization id"] = "SCW_DEFAULT_ORGANIZATION_ID"
        raise self._lacks(missing)

    def required_organization_id(self) -> str:
        """The Organization's id. Raises ConfigError that says how to set it."""
        if self.organization_id is None:
            raise self._lacks({"Organization id": "SCW_DEFAULT_ORGANIZATION_ID"})
        return self.organization_id

    def _lacks(self, missing: Mapping[str, str]) -> ConfigError:
        """The error that these are missing, each with the variable that sets it."""
        profile = f" (profile {self.profile})" if self.profile else ""
        in_toml = "" if "secret key" in missing else ", or set organization_id in trailkeep.toml"
        return ConfigError(
            f"there is no {' and no '.join(missing)}",
            hint=f"set {' and '.join(missing.values())}, or run `scw init`, which writes {self.scw_file}{profile}"
            f"{in_toml}; `trailkeep config show` tells what is set where",
        )
