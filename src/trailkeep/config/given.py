"""A setting's value as one source gave it, before it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trailkeep.config.values import Place
from trailkeep.errors import ConfigError

if TYPE_CHECKING:
    from trailkeep.config.declared import Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What one source says about one setting."""

    setting: Setting
    texts: tuple[str, ...] = field(repr=False)
    origin: str
    """Where the value came from, as `config show` tells it."""
    where: str
    """The same as an error tells it: FILE:LINE for a file."""
    place: Place = field(default_factory=Place)
    from_file: bool = False

    def value(self) -> object:
        """The value. Raises ConfigError with where it stands; nothing from a file is repeated."""
        try:
            return self.setting.value(self.texts, self.place)
        except (ValueError, OverflowError):
            wrong = ""
        if self.setting.quotable and not self.from_file:
            wrong = f", not {','.join(self.texts)!r}"
        expects = self.setting.expects
        raise ConfigError(f"{self.where}: {self.setting.name} must be {expects}{wrong}")
