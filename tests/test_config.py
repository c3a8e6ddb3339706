"""Settings: which source wins, where a value came from, what is refused, and that no secret shows."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import os
import pickle
import subprocess
import sys
import traceback
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trailkeep.config import SETTINGS, Secret, Settings, load_settings
from trailkeep.config.declared import shown, shown_access_key
from trailkeep.errors import ConfigError, ExitCode
from trailkeep.streams import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

ORGANIZATION = "0f1e2d3c-4b5a-4678-9a0b-1c2d3e4f5a6b"
OTHER_ORGANIZATION = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
SECRET = "5ec7e7e0-dead-4bee-8f00-c0ffeec0ffee"
OTHER_SECRET = "77777777-dead-4bee-8f00-c0ffeec0ffee"
ACCESS_KEY = "SCWABCDEFGHIJ0123456"


class Machine:
    """A home, a working directory and an environment of their own."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.directory = root / "work"
        self.home.mkdir()
        self.directory.mkdir()
        self.environ = {"HOME": str(self.home)}

    def scw(self, text: str | bytes, path: Path | None = None) -> Path:
        return self.write(path or self.home / ".config/scw/config.yaml", text)

    def toml(self, text: str | bytes, path: Path | None = None) -> Path:
        return self.write(path or self.directory / "trailkeep.toml", text)

    def write(self, path: Path, text: str | bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(0o600)
        return path

    def load(
        self, flags: dict[str, object] | None = None, config_file: Path | None = None, /, **environ: str
    ) -> Settings:
        return load_settings(
            flags=flags or {},
            environ=self.environ | environ,
            config_file=config_file,
            directory=self.directory,
        )

    def refusal(self, *args: Any, **environ: str) -> ConfigError:
        """The error, after a look that nothing of a secret is in it or in its traceback."""
        with pytest.raises(ConfigError) as caught:
            self.load(*args, **environ)
        told = "".join(traceback.format_exception(caught.value)) + str(caught.value.hint)
        assert SECRET[:13] not in told
        assert SECRET[-12:] not in told
        assert caught.value.exit_code is ExitCode.USAGE
        return caught.value


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# Defaults and the declared list


def test_without_any_source_every_value_is_the_declared_default(machine: Machine) -> None:
    settings = machine.load()
    for setting in SETTINGS:
        assert getattr(settings, setting.name) == setting.default
        assert settings.origins[setting.name] == "default"
    assert settings.archive == Path("data")
    assert settings.regions == ("fr-par", "nl-ams", "pl-waw")
    assert settings.kinds == KINDS
    assert settings.overlap == timedelta(hours=1)
    assert settings.concurrency == 16
    assert settings.api_url == "https://api.scaleway.com"
    assert settings.warnings == ()


def test_the_declared_list_and_the_settings_have_the_same_names() -> None:
    beside = {"origins", "settings_file", "scw_file", "tunings", "receivers", "warnings"}
    assert [setting.name for setting in SETTINGS] == [
        field.name for field in dataclasses.fields(Settings) if field.name not in beside
    ]


def test_every_setting_says_what_it_is_and_can_be_set_somewhere() -> None:
    for setting in SETTINGS:
        assert setting.description.endswith(".")
        assert setting.expects
        assert setting.environment
        assert all(name.startswith(("TRAILKEEP_", "SCW_")) for name in setting.environment)


def test_no_two_settings_share_a_variable_a_flag_or_a_key() -> None:
    for names in (
        [name for setting in SETTINGS for name in setting.environment],
        [setting.flag for setting in SETTINGS if setting.flag],
        [setting.toml_key for setting in SETTINGS if setting.toml_key],
        [setting.scw_key for setting in SETTINGS if setting.scw_key],
    ):
        assert len(names) == len(set(names))


def test_settings_cannot_be_changed(machine: Machine) -> None:
    settings = machine.load()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.insecure = True  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.origins["archive"] = "elsewhere"  # type: ignore[index]


def test_a_flag_that_is_not_a_setting_is_a_mistake_of_the_caller(machine: Machine) -> None:
    with pytest.raises(TypeError, match="region"):
        machine.load({"region": "fr-par"})


# Precedence

_SOURCES = ("flag", "environment", "toml", "scw")
_VALUES = {
    "organization_id": {
        "flag": "11111111-1111-4111-8111-111111111111",
        "environment": "22222222-2222-4222-8222-222222222222",
        "toml": "33333333-3333-4333-8333-333333333333",
        "scw": "44444444-4444-4444-8444-444444444444",
    },
    "api_url": {
        "flag": "https://flag.example",
        "environment": "https://environment.example",
        "toml": "https://toml.scaleway.com",
        "scw": "https://scw.example",
    },
    "default_region": {
        "flag": "aa-flag",
        "environment": "bb-environ",
        "toml": "cc-toml",
        "scw": "dd-scw",
    },
}


@pytest.mark.parametrize("name", list(_VALUES))
@pytest.mark.parametrize("present", [chosen for size in range(5) for chosen in itertools.combinations(_SOURCES, size)])
def test_the_first_source_that_gives_a_value_wins(machine: Machine, name: str, present: tuple[str, ...]) -> None:
    setting = next(setting for setting in SETTINGS if setting.name == name)
    values = _VALUES[name]
    if "toml" in present:
        machine.toml(f'{setting.toml_key} = "{values["toml"]}"\n')
    if "scw" in present:
        machine.scw(f"{setting.scw_key}: {values['scw']}\n")
    environ = {setting.environment[-1]: values["environment"]} if "environment" in present else {}
    flags: dict[str, object] = {name: values["flag"]} if "flag" in present else {}

    settings = machine.load(flags, **environ)

    expected = {
        "flag": f"flag --{name.replace('_', '-')}",
        "environment": f"environment {setting.environment[-1]}",
        "toml": "./trailkeep.toml:1",
        "scw": "~/.config/scw/config.yaml",
    }
    assert getattr(settings, name) == (values[present[0]] if present else setting.default)
    assert settings.origins[name] == (expected[present[0]] if present else "default")


@pytest.mark.parametrize(
    ("name", "flag", "variable", "toml", "value"),
    [
        ("archive", Path("a"), "a", '"a"', Path("a")),
        (
            "regions",
            ["fr-par", "IT-MIL", "fr-par"],
            " fr-par , it-mil,,",
            '["fr-par", "it-mil"]',
            ("fr-par", "it-mil"),
        ),
        ("kinds", ["system", "api"], "system,api", '["system", "api"]', ("system", "api")),
        ("overlap", timedelta(minutes=90), "90m", '"90m"', timedelta(minutes=90)),
        ("overlap", "0s", "0s", '"0s"', timedelta(0)),
        ("concurrency", 64, "64", "64", 64),
        ("queries", [Path("a"), Path("b")], "a:b", '["a", "b"]', (Path("a"), Path("b"))),
        ("memory", "512mib", "512 MiB", '"512MIB"', "512MiB"),
        ("memory", "1.5GB", "1.5gb", '"1.5 GB"', "1.5GB"),
        ("threads", 4, "4", "4", 4),
        ("timeout", "10m", "10m", '"10m"', timedelta(minutes=10)),
        ("timeout", "none", "None", '"none"', None),
        ("temp_disk", "100MiB", "100MiB", '"100MiB"', "100MiB"),
    ],
)
def test_each_source_writes_a_value_in_its_own_way_and_all_mean_the_same(
    machine: Machine, name: str, flag: object, variable: str, toml: str, value: object
) -> None:
    assert getattr(machine.load({name: flag}), name) == value
    assert getattr(machine.load(**{f"TRAILKEEP_{name.upper()}": variable}), name) == value
    machine.toml(f"{name} = {toml}\n")
    from_file = getattr(machine.load(), name)
    if name == "archive":
        value = machine.directory / "a"
    if name == "queries":
        value = (machine.directory / "a", machine.directory / "b")
    assert from_file == value


def test_flags_that_are_none_or_empty_are_not_given(machine: Machine) -> None:
    settings = machine.load({"archive": None, "regions": [], "kinds": ()}, TRAILKEEP_REGIONS="it-mil")
    assert settings.origins["archive"] == "default"
    assert settings.regions == ("it-mil",)
    assert settings.origins["regions"] == "environment TRAILKEEP_REGIONS"


def test_flags_are_named_as_the_user_wrote_them(machine: Machine) -> None:
    settings = machine.load({"regions": ["fr-par"], "kinds": ["api"]})
    assert settings.origins["regions"] == "flag --region"
    assert settings.origins["kinds"] == "flag --kind"


def test_empty_environment_variables_are_not_set(machine: Machine) -> None:
    machine.scw(f"secret_key: {SECRET}\ndefault_organization_id: {ORGANIZATION}\n")
    names = {name: "" for setting in SETTINGS for name in setting.environment}
    names |= {"TRAILKEEP_CONFIG": "", "SCW_CONFIG_PATH": "", "XDG_CONFIG_HOME": ""}
    assert machine.load(**names) == machine.load()
    assert machine.load(**names).organization_id == ORGANIZATION


def test_the_own_variable_stands_before_the_scw_one(machine: Machine) -> None:
    settings = machine.load(TRAILKEEP_ORGANIZATION_ID=ORGANIZATION, SCW_DEFAULT_ORGANIZATION_ID=OTHER_ORGANIZATION)
    assert settings.organization_id == ORGANIZATION
    assert settings.origins["organization_id"] == "environment TRAILKEEP_ORGANIZATION_ID"


def test_a_variable_that_is_nearly_ours_is_warned_about(machine: Machine) -> None:
    (warning,) = machine.load(TRAILKEEP_REGION="it-mil", TRAILKEEP_SOMETHING_ELSE="1").warnings
    assert "TRAILKEEP_REGION " in warning
    assert "TRAILKEEP_REGIONS?" in warning


# Where trailkeep.toml is


def test_the_settings_file_is_looked_for_in_four_places_and_the_first_one_is_the_only_one(
    machine: Machine,
) -> None:
    elsewhere = machine.directory.parent / "elsewhere"
    named = machine.toml("concurrency = 1\n", elsewhere / "named.toml")
    by_variable = machine.toml("concurrency = 2\noverlap = '2h'\n", elsewhere / "variable.toml")
    here = machine.toml("concurrency = 3\noverlap = '3h'\n")
    xdg = machine.toml("concurrency = 4\n", elsewhere / "xdg/trailkeep/trailkeep.toml")
    own = machine.toml("concurrency = 5\n", machine.home / ".config/trailkeep/trailkeep.toml")

    first = machine.load(None, named, TRAILKEEP_CONFIG=str(by_variable))
    assert (first.concurrency, first.overlap) == (1, timedelta(hours=1))
    assert first.origins["concurrency"] == f"{named}:1"
    assert first.settings_file == str(named)
    assert machine.load(TRAILKEEP_CONFIG=str(by_variable)).concurrency == 2
    assert machine.load().concurrency == 3
    here.unlink()
    in_xdg = machine.load(XDG_CONFIG_HOME=str(elsewhere / "xdg"))
    assert in_xdg.concurrency == 4
    assert in_xdg.origins["concurrency"] == f"{xdg}:1"
    in_home = machine.load()
    assert in_home.concurrency == 5
    assert in_home.origins["concurrency"] == "~/.config/trailkeep/trailkeep.toml:1"
    own.unlink()
    assert machine.load().settings_file is None


@pytest.mark.parametrize("how", ["--config", "TRAILKEEP_CONFIG"])
def test_a_settings_file_that_was_named_must_be_there(machine: Machine, how: str) -> None:
    path = machine.directory / "gone.toml"
    named = machine.refusal(None, path) if how == "--config" else machine.refusal(TRAILKEEP_CONFIG=str(path))
    assert named.message == f"{how}: there is no file ./gone.toml"


def test_paths_in_a_settings_file_start_at_its_folder_and_others_where_the_command_runs(
    machine: Machine,
) -> None:
    path = machine.toml('archive = "trail"\nqueries = ["~/q", "/abs", "rel"]\n', machine.home / "deep/settings.toml")
    settings = machine.load(None, path)
    assert settings.archive == machine.home / "deep/trail"
    assert settings.queries == (machine.home / "q", Path("/abs"), machine.home / "deep/rel")
    assert machine.load(TRAILKEEP_ARCHIVE="trail").archive == Path("trail")
    assert machine.load(TRAILKEEP_ARCHIVE="~/trail").archive == machine.home / "trail"


def test_a_relative_config_file_is_found_in_the_directory(machine: Machine) -> None:
    machine.toml("concurrency = 3\n", machine.directory / "mine.toml")
    settings = machine.load(None, Path("mine.toml"))
    assert settings.origins["concurrency"] == "./mine.toml:1"


# What trailkeep.toml must not hold


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("overlap = \n", "./trailkeep.toml:1:11"),
        ("# fine\nconcurrency = 8\noverlap ! '1h'\n", "./trailkeep.toml:3:9"),
        (f'concurrency = 8\nx = "{SECRET}\n', "./trailkeep.toml:2"),
        ("# fine\nregions = ['fr-par',\n\n\n", "./trailkeep.toml:2"),
        ("concurrency = 8\nconcurrency = 9\n", "./trailkeep.toml:2"),
        (f"{SECRET}\n", "./trailkeep.toml:1"),
        (f"concurrency = {'9' * 5000}\n", "./trailkeep.toml:"),
        ("x = " + "[" * 100_000, "./trailkeep.toml:"),
    ],
)
def test_malformed_toml_is_told_by_line_and_never_quoted(machine: Machine, text: str, place: str) -> None:
    machine.toml(text)
    error = machine.refusal()
    assert error.message.startswith(place)
    assert error.message.endswith(" is not TOML")
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("region", "regions"),
        ("Archive", "archive"),
        ("api-url", "api_url"),
        ("organisation_id", "organization_id"),
    ],
)
def test_an_unknown_key_is_told_by_line_with_the_nearest_known_one(machine: Machine, key: str, near: str) -> None:
    machine.toml(f'# comment\nconcurrency = 4\n{key} = "x"\n')
    error = machine.refusal()
    assert error.message.startswith("./trailkeep.toml:3: ")
    assert error.hint == f"did you mean {near!r}?"


def test_an_unknown_key_that_is_like_nothing_gets_the_list(machine: Machine) -> None:
    machine.toml('[zzz]\nx = "1"\n')
    error = machine.refusal()
    assert error.message == "./trailkeep.toml:1: 'zzz' is not a setting"
    assert "archive, regions" in str(error.hint)


def test_a_key_that_may_be_a_secret_itself_is_not_repeated(machine: Machine) -> None:
    machine.toml(f"{SECRET} = 1\n")
    assert machine.refusal().message == "./trailkeep.toml:1: this key is not a setting"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("concurrency = '8'", "a whole number from 1 to 64"),
        ("concurrency = true", "a whole number"),
        ("concurrency = 8.0", "a whole number"),
        ("concurrency = 0", "from 1 to 64"),
        ("concurrency = 65", "from 1 to 64"),
        ("overlap = 3600", "text in quotes"),
        ("overlap = '1 hour'", "1h or 30m"),
        ("overlap = '91d'", "at most 90d"),
        ("regions = 'fr-par'", "a list in brackets"),
        ("regions = []", "names such as"),
        ("regions = ['../../etc']", "names such as"),
        ("regions = [1]", "a list in brackets"),
        ("kinds = ['login']", "api, authentication, system"),
        ("archive = ''", "a path"),
        ("archive = 2026-01-01", "text in quotes"),
        ("organization_id = 'acme'", "a UUID"),
        ("insecure = 'yes'", "written as true or false"),
        ("api_url = 'ftp://x'", "http or https"),
        ("queries.a = 1", "a list in brackets"),
        ("[queries]\na = 1", "a list in brackets"),
    ],
)
def test_an_impossible_value_is_told_by_line_with_what_it_must_be(machine: Machine, line: str, says: str) -> None:
    machine.toml(f"\n\n{line}\n")
    error = machine.refusal(TRAILKEEP_CONCURRENCY="3")
    assert error.message.startswith("./trailkeep.toml:3: ")
    assert says in error.message


def test_the_line_of_a_key_is_where_it_is_set_and_not_where_it_is_mentioned(machine: Machine) -> None:
    machine.toml(
        "# overlap = '9h'\nregions = [\n  'fr-par',\n]\narchive = '''\noverlap = 'not here'\n'''\n\"overlap\" = '2h'\n"
    )
    settings = machine.load()
    assert settings.origins["overlap"] == "./trailkeep.toml:8"
    assert settings.origins["regions"] == "./trailkeep.toml:2"
    assert settings.origins["archive"] == "./trailkeep.toml:5"


@pytest.mark.parametrize("key", ["secret_key", "SCW_SECRET_KEY", "scw-secret-key", "access_key"])
def test_a_key_pair_in_trailkeep_toml_is_refused_with_where_it_belongs(machine: Machine, key: str) -> None:
    machine.toml(f'{key} = "{SECRET}"\n')
    error = machine.refusal(SCW_SECRET_KEY=OTHER_SECRET)
    assert error.message.startswith("./trailkeep.toml:1: ")
    assert "SCW_SECRET_KEY" in str(error.hint)
    assert "scw init" in str(error.hint)


def test_a_secret_as_the_value_of_another_key_is_not_repeated(machine: Machine) -> None:
    machine.toml(f'overlap = "{SECRET}"\n')
    machine.refusal()


# A settings file that nobody asked for does not redirect the secret


@pytest.mark.parametrize("line", ["api_url = 'https://collector.example'", "insecure = true"])
def test_a_file_in_the_working_directory_does_not_decide_who_gets_the_secret(machine: Machine, line: str) -> None:
    path = machine.toml(f"{line}\n")
    error = machine.refusal(SCW_SECRET_KEY=SECRET)
    assert error.message.startswith("./trailkeep.toml:1: ")
    assert "--config" in str(error.hint)
    machine.load(None, path)
    machine.load(TRAILKEEP_CONFIG="trailkeep.toml")
    path.unlink()
    machine.toml(f"{line}\n", machine.home / ".config/trailkeep/trailkeep.toml")
    machine.load()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost", "https://api.scaleway.com"])
def test_a_file_in_the_working_directory_may_name_this_machine_or_scaleway(machine: Machine, url: str) -> None:
    machine.toml(f"api_url = '{url}'\n")
    assert machine.load().api_url == url


def test_names_that_only_resemble_scaleway_are_not_scaleway(machine: Machine) -> None:
    machine.toml("api_url = 'https://api-scaleway.com'\n")
    machine.refusal()


# The API's address


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://api.scaleway.com/", "https://api.scaleway.com"),
        (" https://gateway.example/scw// ", "https://gateway.example/scw"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:99", "http://[::1]:99"),
        ("HTTP://LOCALHOST", "http://LOCALHOST"),
    ],
)
def test_an_address_is_taken_without_its_last_slash(machine: Machine, given: str, url: str) -> None:
    assert machine.load(SCW_API_URL=given).api_url == url


@pytest.mark.parametrize(
    "url",
    [
        "api.scaleway.com",
        "ftp://api.scaleway.com",
        "https://",
        "https://:443",
        "https://user:5ec7e7e0-dead-4bee-8f00-c0ffeec0ffee@api.scaleway.com",
        "https://api.scaleway.com?x=1",
        "https://api.scaleway.com#x",
        "https://api.scaleway.com:99999",
        "https://api.scale way.com",
        "https://api.scaleway.com\n.evil.example",
        "https://[::1",
        "https:\\\\api.scaleway.com",
    ],
)
def test_what_is_not_an_address_is_refused_without_being_repeated(machine: Machine, url: str) -> None:
    error = machine.refusal(SCW_API_URL=url)
    assert error.message.startswith("environment variable SCW_API_URL: api_url must be ")
    assert "scaleway.com" not in error.message


@pytest.mark.parametrize(
    "url",
    [
        "http://api.scaleway.com",
        "HTTP://api.scaleway.com",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://[2001:db8::1]",
    ],
)
def test_plain_http_is_for_this_machine_only_unless_insecure(machine: Machine, url: str) -> None:
    error = machine.refusal(SCW_API_URL=url)
    assert error.message.startswith("environment variable SCW_API_URL: api_url is plain http")
    assert machine.load(SCW_API_URL=url, SCW_INSECURE="true").insecure is True


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("TRUE", True), ("t", True), ("0", False), ("False", False), ("f", False)],
)
def test_truth_is_written_as_go_writes_it(machine: Machine, text: str, value: bool) -> None:
    assert machine.load(SCW_INSECURE=text).insecure is value


def test_what_is_neither_true_nor_false_is_refused(machine: Machine) -> None:
    assert "'maybe'" in machine.refusal(SCW_INSECURE="maybe").message


# Values from the environment


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("TRAILKEEP_REGIONS", "fr-par,../x"),
        ("TRAILKEEP_REGIONS", " , "),
        ("TRAILKEEP_KINDS", "api,everything"),
        ("TRAILKEEP_OVERLAP", "-1h"),
        ("TRAILKEEP_OVERLAP", "99999999999y"),
        ("TRAILKEEP_CONCURRENCY", "0"),
        ("TRAILKEEP_CONCURRENCY", "1e3"),
        ("TRAILKEEP_CONCURRENCY", "٣"),
        ("SCW_DEFAULT_ORGANIZATION_ID", "acme"),
        ("SCW_DEFAULT_REGION", "Paris"),
        ("SCW_SECRET_KEY", "two words"),
        ("SCW_SECRET_KEY", "line\nfeed"),
        ("SCW_PROFILE", "\x1b[31m"),
    ],
)
def test_an_impossible_value_is_told_with_the_variable_it_came_from(machine: Machine, variable: str, text: str) -> None:
    assert machine.refusal(**{variable: text}).message.startswith(f"environment variable {variable}: ")


def test_a_flag_with_an_impossible_value_is_told_by_its_name(machine: Machine) -> None:
    error = machine.refusal({"regions": ["fr-par", "??"]})
    assert error.message == "--region: regions must be names such as fr-par, nl-ams or pl-waw, not 'fr-par,??'"


# The scw CLI's config file

PROFILES = f"""\
access_key: {ACCESS_KEY}
secret_key: {SECRET}
default_organization_id: {ORGANIZATION}
default_region: fr-par
send_telemetry: true
unknown: [1, 2]
profiles:
  prod:
    secret_key: {OTHER_SECRET}
    default_region: nl-ams
    default_project_id: {OTHER_ORGANIZATION}
    insecure: false
  empty:
  2024:
    default_region: pl-waw
"""


def secret_of(settings: Settings) -> str | None:
    return None if settings.secret_key is None else settings.secret_key.reveal()


def test_the_root_of_the_scw_file_is_used_where_no_profile_is_chosen(machine: Machine) -> None:
    machine.scw(PROFILES)
    settings = machine.load()
    assert secret_of(settings) == SECRET
    assert settings.access_key == ACCESS_KEY
    assert settings.organization_id == ORGANIZATION
    assert settings.default_region == "fr-par"
    assert settings.profile is None
    assert settings.project_id is None
    assert settings.origins["secret_key"] == "~/.config/scw/config.yaml"
    assert settings.scw_file == "~/.config/scw/config.yaml"


def test_a_profile_overlays_the_root_field_by_field(machine: Machine) -> None:
    machine.scw(PROFILES)
    settings = machine.load(SCW_PROFILE="prod")
    assert secret_of(settings) == OTHER_SECRET
    assert settings.organization_id == ORGANIZATION
    assert settings.access_key == ACCESS_KEY
    assert settings.default_region == "nl-ams"
    assert settings.profile == "prod"
    assert settings.origins["secret_key"] == "~/.config/scw/config.yaml profile prod"
    assert settings.origins["organization_id"] == "~/.config/scw/config.yaml"
    assert settings.origins["profile"] == "environment SCW_PROFILE"


def test_the_environment_stands_over_a_profile_field_by_field(machine: Machine) -> None:
    machine.scw(PROFILES)
    settings = machine.load(SCW_PROFILE="prod", SCW_DEFAULT_REGION="it-mil")
    assert settings.default_region == "it-mil"
    assert secret_of(settings) == OTHER_SECRET


@pytest.mark.parametrize(
    ("flag", "variable", "toml", "active", "region"),
    [
        (None, None, None, None, "fr-par"),
        (None, None, None, "prod", "nl-ams"),
        (None, None, "2024", "prod", "pl-waw"),
        (None, "2024", "prod", "prod", "pl-waw"),
        ("2024", "prod", "prod", "prod", "pl-waw"),
        (None, "empty", None, "prod", "fr-par"),
        (None, "default", None, "prod", "fr-par"),
        (None, "", None, "prod", "nl-ams"),
    ],
)
def test_the_profile_is_chosen_by_flag_environment_toml_and_then_the_file_itself(
    machine: Machine,
    flag: str | None,
    variable: str | None,
    toml: str | None,
    active: str | None,
    region: str,
) -> None:
    machine.scw(PROFILES + (f"active_profile: {active}\n" if active else ""))
    if toml is not None:
        machine.toml(f'profile = "{toml}"\n')
    environ = {} if variable is None else {"SCW_PROFILE": variable}
    settings = machine.load({"profile": flag}, **environ)
    assert settings.default_region == region
    if active and not any((flag, variable, toml)):
        assert settings.origins["profile"] == "~/.config/scw/config.yaml"


def test_a_profile_that_is_not_there_is_an_error_that_lists_those_that_are(machine: Machine) -> None:
    machine.scw(PROFILES)
    error = machine.refusal(SCW_PROFILE="staging")
    assert error.message == ("environment variable SCW_PROFILE: ~/.config/scw/config.yaml has no profile 'staging'")
    assert error.hint == "it has 2024, empty, prod"


def test_an_active_profile_that_is_not_there_is_told_by_its_line(machine: Machine) -> None:
    machine.scw("active_profile: staging\n")
    error = machine.refusal()
    assert error.message == "~/.config/scw/config.yaml:1: ~/.config/scw/config.yaml has no profile 'staging'"
    assert "no profiles" in str(error.hint)


def test_a_profile_without_a_file_is_an_error_even_with_credentials_in_the_environment(
    machine: Machine,
) -> None:
    error = machine.refusal(SCW_PROFILE="prod", SCW_SECRET_KEY=SECRET)
    assert "there is no ~/.config/scw/config.yaml" in error.message
    assert machine.load(SCW_PROFILE="default").profile == "default"


def test_the_scw_file_is_looked_for_in_three_places(machine: Machine) -> None:
    elsewhere = machine.directory.parent / "elsewhere"
    named = machine.scw("default_region: aa-named\n", elsewhere / "scw.yaml")
    machine.scw("default_region: bb-xdg\n", elsewhere / "xdg/scw/config.yaml")
    machine.scw("default_region: cc-home\n")
    environ = {"XDG_CONFIG_HOME": str(elsewhere / "xdg"), "SCW_CONFIG_PATH": str(named)}
    assert machine.load(**environ).default_region == "aa-named"
    assert machine.load(**environ).origins["default_region"] == str(named)
    environ["SCW_CONFIG_PATH"] = ""
    assert machine.load(**environ).default_region == "bb-xdg"
    assert machine.load().default_region == "cc-home"
    # The first place is the only one: no fallback to the next.
    assert machine.load(XDG_CONFIG_HOME=str(elsewhere)).default_region is None


def test_scw_config_path_naming_a_missing_file_is_an_error(machine: Machine) -> None:
    machine.scw(PROFILES)
    error = machine.refusal(SCW_CONFIG_PATH=str(machine.home / "gone.yaml"))
    assert error.message == "SCW_CONFIG_PATH: there is no file ~/gone.yaml"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o622, 0o610])
def test_a_scw_file_that_is_open_to_others_is_warned_about(machine: Machine, mode: int) -> None:
    machine.scw(PROFILES).chmod(mode)
    (warning,) = machine.load().warnings
    assert f"{mode:04o}" in warning
    assert "chmod 600 " in warning
    assert SECRET not in warning


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_scw_file_of_its_owner_alone_is_not_warned_about(machine: Machine, mode: int) -> None:
    machine.scw(PROFILES).chmod(mode)
    assert machine.load().warnings == ()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"secret_key: '{SECRET}\n", "~/.config/scw/config.yaml:2:1"),
        (f"a: b\nsecret_key: {SECRET}: x\n", "~/.config/scw/config.yaml:2:49"),
        (f"secret_key: [{SECRET}\n", "~/.config/scw/config.yaml:2:1"),
        (f"a: 1\n\tsecret_key: {SECRET}\n", "~/.config/scw/config.yaml:2:1"),
        (f"a: *{SECRET}\n", "~/.config/scw/config.yaml:1:4"),
        (f"a: 1\nsecret_key: {SECRET}\x07\n", "~/.config/scw/config.yaml:2:49"),
        (f"a: 1\n---\nsecret_key: {SECRET}\n", "~/.config/scw/config.yaml:2:1"),
        ("a: " + "[" * 100_000, "~/.config/scw/config.yaml:1"),
    ],
)
def test_malformed_yaml_is_told_by_line_and_column_and_never_quoted(machine: Machine, text: str, place: str) -> None:
    machine.scw(text)
    error = machine.refusal()
    assert error.message == f"{place} is not YAML"
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"{SECRET}\n", ":1 is not a config file"),
        (f"- {SECRET}\n", ":1 is not a config file"),
        (f"a: 1\nsecret_key: [{SECRET}]\n", ":2 is not a config file"),
        (f"a: 1\nsecret_key: {{x: {SECRET}}}\n", ":2 is not a config file"),
        (f"profiles: {SECRET}\n", ":1 is not a config file"),
        (f"profiles:\n  prod: {SECRET}\n", ":2 is not a config file"),
        (f"profiles:\n  prod:\n    secret_key: [{SECRET}]\n", ":3 is not a config file"),
        (f"? [{SECRET}]\n: 1\n", ":1 is not a config file"),
        (f"x: &x\n  secret_key: {SECRET}\n<<: *x\n", ":3 is not a config file that Trailkeep reads"),
    ],
)
def test_a_scw_file_of_another_shape_is_told_by_line_and_never_quoted(machine: Machine, text: str, place: str) -> None:
    machine.scw(text)
    assert machine.refusal().message.startswith(f"~/.config/scw/config.yaml{place}")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"default_organization_id: {SECRET}-x", "default_organization_id"),
        (f"insecure: {SECRET}", "true or false"),
        (f"api_url: {SECRET}", "http or https"),
        (f"default_region: {SECRET}", "a region"),
        (f"secret_key: '{SECRET} {SECRET}'", "a secret key"),
    ],
)
def test_an_impossible_value_in_the_scw_file_is_told_by_line_and_never_quoted(
    machine: Machine, line: str, says: str
) -> None:
    machine.scw(f"---\n# comment\n{line}\n")
    error = machine.refusal()
    assert error.message.startswith("~/.config/scw/config.yaml:3: ")
    assert says in error.message or "organization_id" in says


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "secret_key:\n", "secret_key: ~\n", "profiles:\n"])
def test_an_empty_file_or_field_is_nothing(machine: Machine, text: str) -> None:
    machine.scw(text)
    assert machine.load().secret_key is None


def test_values_of_the_scw_file_stay_text(machine: Machine) -> None:
    machine.scw("secret_key: 12e3\naccess_key: 2026-01-01\ninsecure: yes\n")
    settings = machine.load()
    assert secret_of(settings) == "12e3"
    assert settings.access_key == "2026-01-01"
    assert settings.insecure is True


def test_a_value_that_another_source_replaced_need_not_be_right(machine: Machine) -> None:
    machine.scw(f"default_organization_id: broken\nsecret_key: {SECRET}\n")
    assert machine.load(SCW_DEFAULT_ORGANIZATION_ID=ORGANIZATION).organization_id == ORGANIZATION


def test_an_organization_id_that_is_the_secret_key_is_refused(machine: Machine) -> None:
    error = machine.refusal(SCW_SECRET_KEY=SECRET, SCW_DEFAULT_ORGANIZATION_ID=SECRET)
    assert "holds the secret key" in error.message


# Files that cannot be read


@pytest.mark.parametrize("which", ["scw", "toml"])
def test_a_folder_in_place_of_a_file_is_an_error(machine: Machine, which: str) -> None:
    path = machine.home / ".config/scw/config.yaml" if which == "scw" else machine.directory / "trailkeep.toml"
    path.mkdir(parents=True)
    assert "cannot be read: Is a directory" in machine.refusal().message


@pytest.mark.parametrize("which", ["scw", "toml"])
def test_bytes_that_are_not_utf_8_are_told_by_line_and_never_quoted(machine: Machine, which: str) -> None:
    write = machine.scw if which == "scw" else machine.toml
    path = write(b"# one\n# two " + SECRET.encode() + b" \xff\n")
    error = machine.refusal()
    assert error.message.endswith(f"{path.name}:2 is not UTF-8")
    assert error.__context__ is None


@pytest.mark.parametrize("which", ["scw", "toml"])
def test_a_file_that_is_far_too_long_is_refused(machine: Machine, which: str) -> None:
    write = machine.scw if which == "scw" else machine.toml
    write(b"# " + b"x" * (1 << 20))
    assert "longer than" in machine.refusal().message


@pytest.mark.parametrize("which", ["scw", "toml"])
def test_a_byte_order_mark_and_windows_line_ends_are_fine(machine: Machine, which: str) -> None:
    if which == "scw":
        machine.scw(b"\xef\xbb\xbfsend_telemetry: false\r\ndefault_region: it-mil\r\n")
    else:
        machine.toml(b'\xef\xbb\xbfconcurrency = 8\r\ndefault_region = "it-mil"\r\n')
    settings = machine.load()
    assert settings.default_region == "it-mil"
    if which == "toml":
        assert settings.origins["default_region"] == "./trailkeep.toml:2"


@contextmanager
def nobody() -> Iterator[None]:
    """Without root's right to read everything; who is not root has no such right anyway."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("which", ["scw", "toml"])
def test_a_file_without_permission_is_an_error(machine: Machine, which: str) -> None:
    path = machine.scw("") if which == "scw" else machine.toml("")
    path.chmod(0)
    with nobody():
        message = machine.refusal().message
    assert "cannot be read: Permission denied" in message


def test_a_fifo_can_carry_the_scw_file(machine: Machine) -> None:
    fifo = machine.home / "fifo"
    os.mkfifo(fifo, 0o644)
    with subprocess.Popen([sys.executable, "-c", f"open({str(fifo)!r}, 'w').write('secret_key: {SECRET}')"]):
        settings = machine.load(SCW_CONFIG_PATH=str(fifo))
    assert secret_of(settings) == SECRET
    assert settings.warnings == ()


# Credentials


def test_credentials_are_the_secret_key_and_the_organization(machine: Machine) -> None:
    settings = machine.load(SCW_SECRET_KEY=SECRET, SCW_DEFAULT_ORGANIZATION_ID=ORGANIZATION.upper())
    credentials = settings.credentials()
    assert credentials.secret_key == Secret(SECRET)
    assert credentials.organization_id == ORGANIZATION


@pytest.mark.parametrize(
    ("environ", "message", "names", "not_named"),
    [
        (
            {},
            "no secret key and no Organization id",
            ["SCW_SECRET_KEY", "SCW_DEFAULT_ORGANIZATION_ID"],
            ["toml"],
        ),
        (
            {"SCW_SECRET_KEY": SECRET},
            "no Organization id",
            ["SCW_DEFAULT_ORGANIZATION_ID", "trailkeep.toml"],
            ["SCW_SECRET_KEY"],
        ),
        (
            {"SCW_DEFAULT_ORGANIZATION_ID": ORGANIZATION},
            "no secret key",
            ["SCW_SECRET_KEY"],
            ["SCW_DEFAULT_ORGANIZATION_ID", "toml"],
        ),
    ],
)
def test_missing_credentials_are_told_with_every_way_to_set_them(
    machine: Machine, environ: dict[str, str], message: str, names: list[str], not_named: list[str]
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        machine.load(**environ).credentials()
    hint = str(caught.value.hint)
    assert caught.value.exit_code is ExitCode.USAGE
    assert all(name in hint for name in (*names, "scw init", "~/.config/scw/config.yaml"))
    assert not any(name in hint for name in not_named)


# Secrets


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        ascii,
        format,
        "{:>60}".format,
        "{!r}".format,
        "%s".__mod__,
        lambda value: repr([value]),
        lambda value: str(ValueError(value)),
        lambda value: json.dumps(value, default=str),
    ],
)
def test_a_secret_does_not_show(show: Any) -> None:
    assert SECRET[:8] not in show(Secret(SECRET))
    assert "xxxxxxxx-" in show(Secret(SECRET)) or "\\u2026" in show(Secret(SECRET))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(SECRET), protocol)


def test_a_secret_is_equal_to_itself_and_to_no_text() -> None:
    assert Secret(SECRET) == Secret(SECRET)
    assert Secret(SECRET) != Secret(OTHER_SECRET)
    assert Secret(SECRET) != SECRET
    assert len({Secret(SECRET), Secret(SECRET), Secret(OTHER_SECRET)}) == 2
    assert copy.deepcopy(Secret(SECRET)) == Secret(SECRET)
    assert not hasattr(Secret(SECRET), "__dict__")


def test_settings_show_no_secret(machine: Machine) -> None:
    machine.scw(PROFILES)
    settings = machine.load(SCW_PROFILE="prod")
    for text in (repr(settings), str(settings), str(dataclasses.asdict), repr(settings.credentials())):
        assert SECRET not in text
        assert OTHER_SECRET not in text
    assert shown(settings.secret_key) == "xxxxxxxx-…"


def test_an_access_key_that_is_none_is_masked() -> None:
    assert shown_access_key(ACCESS_KEY) == ACCESS_KEY
    assert shown_access_key(SECRET) == "xxxxxxxx-…"
    assert shown_access_key(None) is None


# Imports


def run_python(code: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | environ
    )
    return done.stdout


@pytest.mark.parametrize(("with_file", "imported"), [(False, "False"), (True, "True")])
def test_yaml_is_imported_only_where_there_is_a_scw_file(machine: Machine, with_file: bool, imported: str) -> None:
    if with_file:
        machine.scw("secret_key: x\n")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom trailkeep.config import load_settings\n"
        f"load_settings(flags={{}}, environ={{'HOME': {str(machine.home)!r}}}, config_file=None,"
        f" directory=Path({str(machine.directory)!r}))\n"
        "print('yaml' in sys.modules, {'httpx', 'pyarrow', 'duckdb'} & set(sys.modules))\n"
    )
    assert run_python(code) == f"{imported} set()\n"


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("TRAILKEEP_MEMORY", "63MiB", "at least 64MiB"),
        ("TRAILKEEP_MEMORY", "1", "a size such as 512MiB"),
        ("TRAILKEEP_MEMORY", "80%", "a size such as 512MiB"),
        ("TRAILKEEP_MEMORY", "-1GiB", "a size such as 512MiB"),
        ("TRAILKEEP_MEMORY", "999999999TB", "a size such as 512MiB"),
        ("TRAILKEEP_TEMP_DISK", "0GiB", "a size such as 512MiB"),
        ("TRAILKEEP_TEMP_DISK", "1e9KB", "a size such as 512MiB"),
        ("TRAILKEEP_THREADS", "0", "from 1 to 256"),
        ("TRAILKEEP_THREADS", "257", "from 1 to 256"),
        ("TRAILKEEP_THREADS", "two", "a whole number"),
        ("TRAILKEEP_TIMEOUT", "0s", "from 1s to 30d"),
        ("TRAILKEEP_TIMEOUT", "31d", "from 1s to 30d"),
        ("TRAILKEEP_TIMEOUT", "10", "a length of time such as 30s"),
        ("TRAILKEEP_TIMEOUT", "1y", "or none"),
    ],
)
def test_a_limit_that_cannot_be_says_what_it_must_be(machine: Machine, variable: str, text: str, expected: str) -> None:
    error = machine.refusal(**{variable: text})
    assert expected in error.message
    assert variable in error.message
    assert text in error.message


def test_a_folder_for_temporary_files_is_relative_to_the_settings_file(machine: Machine) -> None:
    assert machine.load(TRAILKEEP_TEMP_DIRECTORY="~/spill").temp_directory == machine.home / "spill"
    machine.toml('temp_directory = "spill"\n')
    assert machine.load().temp_directory == machine.directory / "spill"
