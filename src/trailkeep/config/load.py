"""Reading the settings: each from the first source that gives it, with where that was."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trailkeep.config import files
from trailkeep.config.declared import SETTINGS, flag_texts
from trailkeep.config.given import Given
from trailkeep.config.scw_file import ROOT_PROFILE, ScwFile, read_scw
from trailkeep.config.settings import Settings
from trailkeep.config.toml_file import read_receivers_in, read_toml, read_tunings_in
from trailkeep.config.values import Place, host_of, is_loopback
from trailkeep.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trailkeep.config.detections import Tuning
    from trailkeep.config.receivers import Receiver
    from trailkeep.config.secret import Secret

FILE_NAME = "trailkeep.toml"
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def load_settings(
    *, flags: Mapping[str, object], environ: Mapping[str, str], config_file: Path | None, directory: Path
) -> Settings:
    """The settings of a run in `directory`: flags over environment over trailkeep.toml over the scw file.

    `flags` are by setting name; None and an empty list mean not given. `config_file` stands for the places
    where a trailkeep.toml is looked for. Raises ConfigError for whatever cannot be used, and never repeats
    what a file holds.
    """
    unknown = flags.keys() - _BY_NAME.keys()
    if unknown:
        raise TypeError(f"there are no settings {sorted(unknown)}")
    return _Loader(environ, directory).load(flags, config_file)


class _Loader:
    """One reading of all sources."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self.environ = environ
        self.directory = directory
        self.home = _home(environ)
        self.warnings: list[str] = []
        self.tunings: dict[str, Tuning] = {}
        """How the trailkeep.toml tunes detections."""
        self.receivers: dict[str, Receiver] = {}
        """Who the trailkeep.toml says is told of findings."""

    def load(self, flags: Mapping[str, object], config_file: Path | None) -> Settings:
        """Read every source and choose."""
        toml_shown, toml, found_by_itself = self.toml(config_file)
        sources = [self.flags(flags), self.variables(), toml]
        path, scw = self.scw()
        profile = _first(sources, "profile") or _active_profile(scw)
        scw_shown = self.shown(path)
        if scw is not None:
            name = None if profile is None else str(profile.value())
            sources.append(scw.given(name, "" if profile is None else profile.where))
        elif profile is not None and profile.value() != ROOT_PROFILE:
            raise ConfigError(
                f"{profile.where}: there is no profile {profile.value()!r}, since there is no {scw_shown}",
                hint="`scw init` writes that file",
            )
        chosen = {setting.name: _first(sources, setting.name) for setting in SETTINGS}
        if profile is not None:
            chosen["profile"] = profile
        values = {name: _BY_NAME[name].default if given is None else given.value() for name, given in chosen.items()}
        _check_together(values, chosen)
        if found_by_itself:
            _check_trusted(values, chosen, toml)
        return _settings(
            values,
            origins={name: "default" if given is None else given.origin for name, given in chosen.items()},
            settings_file=toml_shown,
            scw_file=scw_shown,
            tunings=MappingProxyType(self.tunings),
            receivers=MappingProxyType(self.receivers),
            warnings=(*self.warnings, *self.misspelt()),
        )

    def flags(self, flags: Mapping[str, object]) -> dict[str, Given]:
        """What the command's own options give."""
        given = {}
        for name, value in flags.items():
            texts = flag_texts(value)
            if texts is not None:
                flag = _BY_NAME[name].flag or f"--{name.replace('_', '-')}"
                origin = f"flag {flag}"
                place = Place(home=self.home)
                given[name] = Given(setting=_BY_NAME[name], texts=texts, origin=origin, where=flag, place=place)
        return given

    def variables(self) -> dict[str, Given]:
        """What the environment gives; an empty variable is not set."""
        given = {}
        for setting in SETTINGS:
            for variable in setting.environment:
                if self.environ.get(variable):
                    given[setting.name] = Given(
                        setting=setting,
                        texts=setting.texts(self.environ[variable]),
                        origin=f"environment {variable}",
                        where=f"environment variable {variable}",
                        place=Place(home=self.home),
                    )
                    break
        return given

    def toml(self, config_file: Path | None) -> tuple[str | None, dict[str, Given], bool]:
        """The trailkeep.toml: its name or None, what it gives, and whether it was found in the directory."""
        named = [(config_file, "--config"), (_path_in(self.environ, "TRAILKEEP_CONFIG"), "TRAILKEEP_CONFIG")]
        for path, who in named:
            if path is None:
                continue
            full = self.directory / self.expanded(path)
            content = files.read(full, self.shown(full))
            if content is None:
                raise ConfigError(f"{who}: there is no file {self.shown(full)}")
            self.tables(content, full.parent, asked_for=True)
            return content.shown, read_toml(content, base=full.parent, home=self.home), False
        here = self.directory / FILE_NAME
        own = self.user_config("trailkeep", FILE_NAME)
        for path in (here, own):
            content = None if path is None else files.read(path, self.shown(path))
            if path is not None and content is not None:
                given = read_toml(content, base=path.parent, home=self.home)
                self.tables(content, path.parent, asked_for=path != here)
                return content.shown, given, path == here
        return None, {}, False

    def tables(self, content: files.Content, base: Path, *, asked_for: bool) -> None:
        """What the trailkeep.toml has besides settings."""
        self.tunings = read_tunings_in(content, base=base)
        self.receivers = read_receivers_in(content, base=base, home=self.home, asked_for=asked_for)

    def scw(self) -> tuple[Path | None, ScwFile | None]:
        """The scw CLI's config file: where it is or would be, and what it holds."""
        named = _path_in(self.environ, "SCW_CONFIG_PATH")
        path = self.user_config("scw", "config.yaml") if named is None else self.directory / self.expanded(named)
        if path is None:
            return None, None
        content = files.read(path, self.shown(path))
        if content is None:
            if named is not None:
                raise ConfigError(
                    f"SCW_CONFIG_PATH: there is no file {self.shown(path)}",
                    hint="correct the variable or unset it",
                )
            return path, None
        if content.open_to_others:
            import shlex

            self.warnings.append(
                f"{content.shown} holds a secret key and is open to other users (mode {content.mode:04o}):"
                f" run chmod 600 {shlex.quote(str(path))}"
            )
        return path, read_scw(content)

    def misspelt(self) -> Iterable[str]:
        """A warning for each variable that is nearly one of ours: it would be ignored without a word."""
        known = {name for setting in SETTINGS for name in setting.environment} | {"TRAILKEEP_CONFIG"}
        strangers = sorted(name for name in self.environ if name.startswith("TRAILKEEP_") and name not in known)
        if strangers:
            import difflib

            for name in strangers:
                for near in difflib.get_close_matches(name, known, n=1, cutoff=0.88):
                    yield f"the environment variable {name} is not read; did you mean {near}?"

    def user_config(self, *parts: str) -> Path | None:
        """A file in the user's folder for settings; None where there is no home."""
        base = _path_in(self.environ, "XDG_CONFIG_HOME")
        if base is None:
            base = None if self.home is None else self.home / ".config"
        return None if base is None else self.directory.joinpath(base, *parts)

    def expanded(self, path: Path) -> Path:
        """The path with a leading ``~`` replaced, as a shell does where the path was not quoted."""
        if self.home is not None and path.parts[:1] == ("~",):
            return self.home.joinpath(*path.parts[1:])
        return path

    def shown(self, path: Path | None) -> str:
        """A file's name as messages give it."""
        if path is None:
            return "~/.config/scw/config.yaml"
        return files.shown_path(path, directory=self.directory, home=self.home)


def _home(environ: Mapping[str, str]) -> Path | None:
    if environ.get("HOME"):
        return Path(environ["HOME"])
    try:
        return Path.home()
    except RuntimeError:
        return None


def _path_in(environ: Mapping[str, str], variable: str) -> Path | None:
    return Path(environ[variable]) if environ.get(variable) else None


def _first(sources: Iterable[Mapping[str, Given]], name: str) -> Given | None:
    return next((source[name] for source in sources if name in source), None)


def _active_profile(scw: ScwFile | None) -> Given | None:
    if scw is None or scw.active_profile is None:
        return None
    text, line = scw.active_profile
    return Given(
        setting=_BY_NAME["profile"],
        texts=(text,),
        origin=scw.shown,
        where=f"{scw.shown}:{line}",
        from_file=True,
    )


def _check_together(values: Mapping[str, Any], chosen: Mapping[str, Given | None]) -> None:
    """Refuse what is wrong only in company."""
    secret_key: Secret | None = values["secret_key"]
    for name in ("organization_id", "project_id", "access_key"):
        given = chosen[name]
        if secret_key is not None and given is not None and values[name] == secret_key.reveal():
            raise ConfigError(f"{given.where}: {name} holds the secret key, and would be shown and stored")
    url = chosen["api_url"]
    if (
        url is not None
        and values["api_url"].startswith("http:")
        and not values["insecure"]
        and not is_loopback(host_of(values["api_url"]))
    ):
        raise ConfigError(
            f"{url.where}: api_url is plain http, which would show the secret key to the network",
            hint="use https, or set SCW_INSECURE=true where that is what you want",
        )


def _check_trusted(values: Mapping[str, Any], chosen: Mapping[str, Given | None], toml: Mapping[str, Given]) -> None:
    """Refuse that a file which merely lies in the working directory sends the secret key somewhere else.

    A folder of evidence or a cloned repository may bring a trailkeep.toml along that nobody has read.
    """
    host = host_of(values["api_url"])
    for name, harmless in (
        ("api_url", host == "scaleway.com" or host.endswith(".scaleway.com")),
        ("insecure", not values["insecure"]),
    ):
        given = chosen[name]
        if given is not None and given is toml.get(name) and not harmless and not is_loopback(host):
            raise ConfigError(
                f"{given.where}: {name} decides who gets the secret key, and this file was not asked for",
                hint=f"give the file by name (--config {FILE_NAME} or TRAILKEEP_CONFIG) if you trust it,"
                " or use SCW_API_URL and SCW_INSECURE",
            )


def _settings(values: Mapping[str, Any], *, origins: Mapping[str, str], **rest: Any) -> Settings:
    return Settings(**values, origins=MappingProxyType(dict(origins)), **rest)
