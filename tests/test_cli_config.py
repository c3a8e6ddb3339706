"""`trailkeep config` and `trailkeep products` as a user runs them; the secret is looked for in every output."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from scaleway.iam.v1alpha1.marshalling import (  # type: ignore[import-untyped]
    marshal_CreatePolicyRequest,
)
from scaleway.iam.v1alpha1.types import (  # type: ignore[import-untyped]
    CreatePolicyRequest,
    RuleSpecs,
)
from scaleway_core.profile import ProfileDefaults

import forked
from trailkeep.config import SETTINGS
from trailkeep.demo.emulator import ACCESS_KEY, ORGANIZATION_ID, REGIONS, SECRET_KEY, Emulator
from trailkeep.demo.faults import ALWAYS, Faults, When
from trailkeep.demo.serve import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION = "9b1e2d3c-4b5a-4678-9a0b-1c2d3e4f5a6b"
MASK = "xxxxxxxx-…"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    def outcomes(self) -> dict[str, str]:
        return {finding["subject"]: finding["outcome"] for finding in self.json["findings"]}


@dataclass(frozen=True)
class Shell:
    """A home and a working directory of their own, in which commands run."""

    home: Path
    directory: Path
    environ: dict[str, str]

    def run(self, *arguments: str, secret: str = SECRET_KEY, **environ: str) -> Done:
        """Run trailkeep, and see to it that no part of the secret is in what it says."""
        own = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        done = forked.run_text(arguments, cwd=self.directory, env={**own, **self.environ, **environ})
        for told in (done.stdout, done.stderr):
            assert secret[:9] not in told
            assert secret[-9:] not in told
            assert "Traceback" not in told
        return Done(done.returncode, done.stdout, done.stderr)

    def scw(self, text: str) -> Path:
        path = self.home / ".config/scw/config.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home, directory = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    directory.mkdir()
    return Shell(home, directory, {})


@pytest.fixture
def emulator() -> Emulator:
    emulator = Emulator(clock=lambda: datetime.now(UTC))
    for region in emulator.regions:
        emulator.products[region] = [
            {
                "name": "secret-manager",
                "title": "Secret Manager",
                "services": [
                    {"name": "scaleway.secret_manager.v1beta1.Api", "methods": ["DeleteSecret", "CreateSecret"]}
                ],
            },
            {
                "name": "iam",
                "title": "IAM",
                "services": [{"name": "scaleway.iam.v1alpha1.Api", "methods": ["CreateAPIKey"]}],
            },
        ]
    return emulator


@pytest.fixture
def account(shell: Shell, emulator: Emulator) -> Iterator[Shell]:
    """A shell whose environment has credentials for the emulator."""
    with serve(emulator) as served:
        environ = {
            "SCW_API_URL": served.url,
            "SCW_ACCESS_KEY": ACCESS_KEY,
            "SCW_SECRET_KEY": SECRET_KEY,
            "SCW_DEFAULT_ORGANIZATION_ID": ORGANIZATION_ID,
        }
        yield replace(shell, environ=environ)


# config show


def test_show_prints_every_setting_with_its_value_and_origin(shell: Shell) -> None:
    (shell.directory / "trailkeep.toml").write_text("# mine\nconcurrency = 3\n")
    shell.scw(f"profiles:\n  prod:\n    secret_key: {SECRET_KEY}\n    access_key: {ACCESS_KEY}\n")
    done = shell.run("--archive", "trail", "config", "show", SCW_PROFILE="prod", TRAILKEEP_OVERLAP="30m")
    rows = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in done.stdout.splitlines()}
    assert done.code == 0
    assert done.stderr == ""
    assert list(rows) == [setting.name for setting in SETTINGS]
    expected = {
        "archive": ["trail", "flag --archive"],
        "concurrency": ["3", "./trailkeep.toml:2"],
        "overlap": ["30m", "environment TRAILKEEP_OVERLAP"],
        "regions": ["fr-par, nl-ams, pl-waw", "default"],
        "secret_key": [MASK, "~/.config/scw/config.yaml profile prod"],
        "access_key": [ACCESS_KEY, "~/.config/scw/config.yaml profile prod"],
        "organization_id": ["-", "default"],
        "insecure": ["false", "default"],
    }
    for name, (value, origin) in expected.items():
        assert rows[name].startswith(value)
        assert rows[name].endswith(origin)


def test_show_as_json_says_the_same(shell: Shell) -> None:
    path = shell.scw(f"secret_key: {SECRET_KEY}\n")
    path.chmod(0o644)
    done = shell.run("config", "show", "--format", "json", TRAILKEEP_REGIONS="fr-par,it-mil")
    settings = {row["name"]: row for row in done.json["settings"]}
    assert settings["regions"]["value"] == ["fr-par", "it-mil"]
    assert settings["regions"]["origin"] == "environment TRAILKEEP_REGIONS"
    assert settings["secret_key"]["value"] == MASK
    assert settings["overlap"]["value"] == "1h"
    assert settings["insecure"]["value"] is False
    assert done.json["scw_file"] == "~/.config/scw/config.yaml"
    assert done.json["settings_file"] is None
    assert "chmod 600" in done.json["warnings"][0]
    assert done.stderr.startswith("warning: ~/.config/scw/config.yaml holds a secret key")


def test_show_masks_a_secret_key_that_was_given_as_the_access_key(shell: Shell) -> None:
    done = shell.run("config", "show", SCW_ACCESS_KEY=SECRET_KEY)
    assert MASK in done.stdout


def test_show_without_a_secret_says_so(shell: Shell) -> None:
    done = shell.run("config", "show", "--format", "json")
    assert {row["name"]: row["value"] for row in done.json["settings"]}["secret_key"] is None


@pytest.mark.parametrize("verbosity", [[], ["-v"], ["-vv"], ["-q"]])
@pytest.mark.parametrize(
    ("scw", "toml", "place"),
    [
        (f"secret_key: '{SECRET_KEY}\n", "", "~/.config/scw/config.yaml:2:1"),
        (f"a: b\nsecret_key: {SECRET_KEY}: x\n", "", "~/.config/scw/config.yaml:2:49"),
        (f"secret_key: [{SECRET_KEY}]\n", "", "~/.config/scw/config.yaml:1 "),
        (f"api_url: {SECRET_KEY}\n", "", "~/.config/scw/config.yaml:1:"),
        ("", f"secret_key = '{SECRET_KEY}'\n", "./trailkeep.toml:1:"),
        ("", f"overlap = '{SECRET_KEY}'\n", "./trailkeep.toml:1:"),
        ("", f"'{SECRET_KEY}\n", "./trailkeep.toml:1 is not TOML"),
    ],
)
def test_a_file_that_cannot_be_read_ends_with_code_2_and_its_place(
    shell: Shell, verbosity: list[str], scw: str, toml: str, place: str
) -> None:
    shell.scw(scw)
    if toml:
        (shell.directory / "trailkeep.toml").write_text(toml)
    done = shell.run(*verbosity, "config", "show")
    assert done.code == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {place}")


def test_a_profile_that_is_not_there_ends_with_code_2_and_the_list(shell: Shell) -> None:
    shell.scw(f"secret_key: {SECRET_KEY}\nprofiles:\n  one: {{}}\n  two: {{}}\n")
    done = shell.run("config", "show", SCW_PROFILE="three")
    assert done.code == 2
    assert "hint: it has one, two" in done.stderr


# config policy


def policy_of(shell: Shell, form: str, *arguments: str) -> Done:
    done = shell.run(
        "config",
        "policy",
        "--application",
        APPLICATION,
        "--format",
        form,
        *arguments,
        SCW_DEFAULT_ORGANIZATION_ID=ORGANIZATION_ID,
        SCW_SECRET_KEY=SECRET_KEY,
    )
    assert (done.code, done.stderr) == (0, "")
    return done


def executed(command: str, program: str, folder: Path, **environ: str) -> list[str]:
    """The arguments that the program gets when a POSIX shell runs the command."""
    stand_in = folder / program
    stand_in.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    stand_in.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-eu"],
        input=command,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": str(folder), **environ},
    )
    arguments: list[str] = json.loads(done.stdout)
    return arguments


def test_the_policy_is_the_body_that_the_official_sdk_sends(shell: Shell) -> None:
    sent = marshal_CreatePolicyRequest(
        CreatePolicyRequest(
            name="trailkeep-sync",
            description="Lets Trailkeep read the Audit Trail and the names in it. Changes nothing.",
            organization_id=ORGANIZATION_ID,
            application_id=APPLICATION,
            no_principal=None,
            tags=None,
            rules=[
                RuleSpecs(
                    condition="",
                    permission_set_names=["AuditTrailReadOnly", "IAMReadOnly", "ProjectReadOnly"],
                    project_ids=None,
                    organization_id=ORGANIZATION_ID,
                )
            ],
        ),
        ProfileDefaults(),
    )
    assert policy_of(shell, "json").json == sent


def test_the_policy_may_be_a_users(shell: Shell) -> None:
    done = shell.run(
        "config",
        "policy",
        "--user",
        APPLICATION.upper(),
        "--format",
        "json",
        SCW_DEFAULT_ORGANIZATION_ID=ORGANIZATION_ID,
    )
    assert done.json["user_id"] == APPLICATION
    assert "application_id" not in done.json


@pytest.mark.parametrize("name", ["plain", 'it\'s "mine"', "$(id) `id` $SCW_SECRET_KEY \\ ; & | é", "@file", "-x"])
def test_the_commands_survive_the_shell(shell: Shell, tmp_path: Path, name: str) -> None:
    body = policy_of(shell, "json", f"--name={name}").json
    assert body["name"] == name

    curl = executed(policy_of(shell, "curl", f"--name={name}").stdout, "curl", tmp_path, SCW_SECRET_KEY="from-env")
    assert json.loads(curl[curl.index("--data") + 1]) == body
    assert "X-Auth-Token: from-env" in curl
    assert curl[-1] == "https://api.scaleway.com/iam/v1alpha1/policies"

    scw = executed(policy_of(shell, "scw", f"--name={name}").stdout, "scw", tmp_path)
    assert scw[:3] == ["iam", "policy", "create"]
    assert dict(argument.split("=", 1) for argument in scw[3:]) == {
        "name": name,
        "description": body["description"],
        "organization-id": ORGANIZATION_ID,
        "application-id": APPLICATION,
        "rules.0.organization-id": ORGANIZATION_ID,
        "rules.0.permission-set-names.0": "AuditTrailReadOnly",
        "rules.0.permission-set-names.1": "IAMReadOnly",
        "rules.0.permission-set-names.2": "ProjectReadOnly",
    }


def test_curl_goes_to_the_api_that_the_settings_name(shell: Shell) -> None:
    done = shell.run(
        "config", "policy", "--user", APPLICATION, "--format", "curl",
        SCW_DEFAULT_ORGANIZATION_ID=ORGANIZATION_ID, SCW_API_URL="https://gateway.example/a&b/",
    )  # fmt: skip
    assert shlex.split(done.stdout)[-1] == "https://gateway.example/a&b/iam/v1alpha1/policies"


def test_all_forms_are_printed_together_unless_one_is_asked_for(shell: Shell) -> None:
    everything = policy_of(shell, "all").stdout
    for form in ("json", "curl", "scw"):
        assert policy_of(shell, form).stdout in everything


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --user ID or --application ID"),
        (["--user", APPLICATION, "--application", APPLICATION], "either --user ID or --application ID"),
        (["--user", "alice"], "--user must be an id"),
        (["--application", APPLICATION, "--name", "x" * 65], "--name must be 1 to 64"),
        (["--application", APPLICATION, "--name", "  "], "--name must be 1 to 64"),
        (["--application", APPLICATION, "--name", "a\nb"], "--name must be 1 to 64"),
    ],
)
def test_a_policy_for_nobody_in_particular_is_not_printed(shell: Shell, arguments: list[str], message: str) -> None:
    done = shell.run("config", "policy", *arguments, SCW_DEFAULT_ORGANIZATION_ID=ORGANIZATION_ID)
    assert (done.code, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_policy_needs_the_organization_and_no_secret(shell: Shell) -> None:
    done = shell.run("config", "policy", "--user", APPLICATION)
    assert (done.code, done.stdout) == (2, "")
    assert "there is no Organization id" in done.stderr
    assert "SCW_SECRET_KEY" not in done.stderr


# config check


def test_check_ends_with_code_0_when_a_sync_would_work(account: Shell, emulator: Emulator) -> None:
    done = account.run("config", "check")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.endswith("A sync would work.\n")
    assert "failed" not in done.stdout
    asked = {request.path.rsplit("/regions/")[-1] for request in emulator.requests}
    assert {
        f"{region}/{stream}"
        for region in emulator.regions
        for stream in ("events", "authentication-events", "system-events")
    } <= asked


def test_check_as_json_lists_every_finding(account: Shell) -> None:
    done = account.run("config", "check", "--format", "json")
    assert done.code == 0
    assert done.json["ok"] is True
    assert done.json["exit_code"] == 0
    assert abs(done.json["clock_offset_seconds"]) < 5
    outcomes = done.outcomes()
    assert outcomes.pop("API " + account.environ["SCW_API_URL"]) == "ok"
    assert set(outcomes) == {
        "secret key",
        "Organization id",
        "API key",
        "users",
        "applications",
        "Projects",
        "clock",
        "IAM's log",
        *(f"{kind} {region} events" for kind in ("api", "authentication", "system") for region in REGIONS),
    }
    assert set(outcomes.values()) == {"ok"}


@pytest.mark.parametrize("verbosity", [[], ["-v"], ["-q"]])
def test_check_without_credentials_asks_nobody_and_ends_with_code_2(
    account: Shell, emulator: Emulator, verbosity: list[str]
) -> None:
    done = account.run(*verbosity, "config", "check", SCW_SECRET_KEY="", SCW_DEFAULT_ORGANIZATION_ID="")
    assert done.code == 2
    assert "failed  secret key" in done.stdout
    assert "failed  Organization id" in done.stdout
    assert "scw init" in done.stdout
    assert emulator.requests == []


@pytest.mark.parametrize("verbosity", [[], ["-v"], ["-vv"]])
def test_check_with_a_key_that_the_api_does_not_know(account: Shell, emulator: Emulator, verbosity: list[str]) -> None:
    emulator.secret_key = "another"
    done = account.run(*verbosity, "config", "check", "--format", "json")
    assert done.code == 3
    outcomes = done.outcomes()
    assert outcomes["API key"] == "failed"
    assert outcomes["system pl-waw events"] == "skipped"
    assert outcomes["users"] == "skipped"
    assert len(emulator.requests) == 1


def test_check_without_the_permission_names_it_and_its_scope(account: Shell, emulator: Emulator) -> None:
    emulator.faults = Faults(denied_permissions={"AuditTrailReadOnly"})
    done = account.run("config", "check")
    assert done.code == 3
    assert "AuditTrailReadOnly at Organization scope" in done.stdout
    assert "A sync would not work." in done.stdout


def test_check_with_another_organization_is_denied(account: Shell) -> None:
    done = account.run("config", "check", "--format", "json", SCW_DEFAULT_ORGANIZATION_ID=APPLICATION)
    assert done.code == 3
    assert done.outcomes()["api fr-par events"] == "failed"


@pytest.mark.parametrize(
    ("permission", "subjects"),
    [("IAMReadOnly", {"users", "applications", "IAM's log"}), ("ProjectReadOnly", {"Projects"})],
)
def test_check_without_names_is_a_warning_only(
    account: Shell, emulator: Emulator, permission: str, subjects: set[str]
) -> None:
    emulator.faults = Faults(denied_permissions={permission})
    done = account.run("config", "check", "--format", "json")
    assert done.code == 0
    assert {subject for subject, outcome in done.outcomes().items() if outcome == "warning"} == subjects
    assert permission in str(done.json["findings"])


def test_a_region_of_the_defaults_that_is_not_offered_is_a_warning(account: Shell, emulator: Emulator) -> None:
    emulator.faults = Faults(absent_regions={"pl-waw"})
    done = account.run("config", "check", "--format", "json")
    assert done.code == 0
    assert done.outcomes()["api pl-waw events"] == "warning"


def test_a_region_that_somebody_chose_and_that_offers_nothing_is_a_mistake(account: Shell) -> None:
    done = account.run("config", "check", "--format", "json", TRAILKEEP_REGIONS="fr-par,fr-prs")
    assert done.code == 3
    assert done.outcomes()["regions fr-prs"] == "failed"


def test_a_stream_that_one_region_lacks_is_a_warning_unless_it_was_asked_for(
    account: Shell, emulator: Emulator
) -> None:
    emulator.faults = Faults(absent_streams={"nl-ams/system-events"})
    done = account.run("config", "check", "--format", "json", TRAILKEEP_REGIONS="fr-par,nl-ams")
    assert done.code == 0
    assert done.outcomes()["system nl-ams events"] == "warning"
    asked = account.run("config", "check", "--format", "json", "--region", "nl-ams", "--kind", "system")
    assert asked.code == 3
    assert asked.outcomes()["system nl-ams events"] == "failed"


def test_check_when_no_region_offers_anything(account: Shell, emulator: Emulator) -> None:
    emulator.faults = Faults(absent_regions=set(REGIONS))
    done = account.run("config", "check")
    assert done.code == 3
    assert "check the names of the regions" in done.stdout


def test_check_looks_at_the_regions_and_kinds_that_are_asked_for(account: Shell, emulator: Emulator) -> None:
    done = account.run("config", "check", "--region", "nl-ams", "--kind", "authentication", "--kind", "api")
    assert done.code == 0
    trail = [request.path for request in emulator.requests if "/regions/" in request.path]
    assert [path.split("/regions/")[1] for path in trail] == ["nl-ams/authentication-events", "nl-ams/events"]


@pytest.mark.parametrize("skew", [timedelta(hours=2), timedelta(hours=-2)])
def test_check_points_out_a_clock_that_is_off(account: Shell, emulator: Emulator, skew: timedelta) -> None:
    emulator.faults = Faults(clock_skew=skew)
    done = account.run("config", "check", "--format", "json")
    assert done.code == 0
    assert done.outcomes()["clock"] == "warning"
    assert abs(done.json["clock_offset_seconds"] - skew.total_seconds()) < 5
    assert ("behind" if skew > timedelta(0) else "ahead of") in str(done.json["findings"])


def test_check_without_a_date_says_that_it_could_not_compare_clocks(account: Shell, emulator: Emulator) -> None:
    emulator.faults = Faults(no_date=ALWAYS)
    done = account.run("config", "check", "--format", "json")
    assert done.outcomes()["clock"] == "warning"
    assert done.json["clock_offset_seconds"] is None


@pytest.mark.parametrize("verbosity", [[], ["-vv"]])
def test_check_of_a_host_that_nobody_answers_at(shell: Shell, verbosity: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = shell.run(
            *verbosity, "config", "check", "--format", "json",
            SCW_API_URL=url, SCW_SECRET_KEY=SECRET_KEY, SCW_DEFAULT_ORGANIZATION_ID=ORGANIZATION_ID,
        )  # fmt: skip
    assert done.code == 3
    outcomes = done.outcomes()
    assert outcomes[f"API {url}"] == "failed"
    assert outcomes["api fr-par events"] == "skipped"
    assert "clock" not in outcomes


def test_check_of_a_server_without_tls_where_tls_is_expected(account: Shell) -> None:
    url = account.environ["SCW_API_URL"].replace("http:", "https:")
    done = account.run("config", "check", "--format", "json", SCW_API_URL=url)
    assert done.code == 3
    assert done.outcomes()[f"API {url}"] == "failed"


def test_check_goes_on_when_one_region_is_down(account: Shell, emulator: Emulator) -> None:
    emulator.faults = Faults(server_error=When(every=1, path="nl-ams"), server_error_statuses=(500,))
    done = account.run("config", "check", "--format", "json", TRAILKEEP_KINDS="api")
    assert done.code == 3
    outcomes = done.outcomes()
    assert outcomes["api nl-ams events"] == "failed"
    assert outcomes["api pl-waw events"] == "ok"
    assert outcomes["users"] == "ok"


def test_check_does_not_follow_a_redirect(account: Shell, emulator: Emulator) -> None:
    emulator.faults = Faults(redirect=ALWAYS)
    done = account.run("config", "check")
    assert done.code == 3
    assert "redirect" in done.stdout


# products


def test_products_lists_products_services_and_methods_of_regions_that_agree_once(account: Shell) -> None:
    done = account.run("products")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == (
        "fr-par, nl-ams, pl-waw: 2 products, 2 services, 3 methods\n"
        "  IAM (iam)\n"
        "    scaleway.iam.v1alpha1.Api\n"
        "      CreateAPIKey\n"
        "  Secret Manager (secret-manager)\n"
        "    scaleway.secret_manager.v1beta1.Api\n"
        "      CreateSecret\n"
        "      DeleteSecret\n"
    )


def test_products_keeps_regions_apart_that_differ(account: Shell, emulator: Emulator) -> None:
    emulator.products["nl-ams"] = emulator.products["nl-ams"][:1]
    heads = [line for line in account.run("products").stdout.splitlines() if not line.startswith(" ")]
    assert heads == [
        "fr-par, pl-waw: 2 products, 2 services, 3 methods",
        "nl-ams: 1 products, 1 services, 2 methods",
    ]


def test_products_as_json_by_region(account: Shell, emulator: Emulator) -> None:
    emulator.faults = Faults(absent_regions={"pl-waw"})
    done = account.run("products", "--format", "json")
    assert done.code == 0
    assert list(done.json["regions"]) == ["fr-par", "nl-ams"]
    assert done.json["not_offered"] == ["pl-waw"]
    assert done.json["regions"]["fr-par"][0] == {
        "name": "iam",
        "title": "IAM",
        "services": [{"name": "scaleway.iam.v1alpha1.Api", "methods": ["CreateAPIKey"]}],
    }
    assert done.stderr == "warning: pl-waw does not offer the list of products\n"


def test_products_of_a_region_asked_for_by_name_that_is_not_there(account: Shell) -> None:
    done = account.run("products", "--region", "it-mil")
    assert (done.code, done.stdout) == (3, "")


def test_products_when_no_region_offers_the_list(account: Shell, emulator: Emulator) -> None:
    emulator.faults = Faults(absent_streams={"products"})
    done = account.run("products")
    assert (done.code, done.stdout) == (3, "")
    assert "no region offers the list of products" in done.stderr


@pytest.mark.parametrize(
    "listed", [["x"], [{"title": "no name"}], [{"name": "a", "services": [{}]}], [{"name": "a", "services": 1}]]
)
def test_products_that_are_no_list_of_products_are_a_failure_of_the_remote(
    account: Shell, emulator: Emulator, listed: list[Any]
) -> None:
    emulator.products["fr-par"] = listed
    done = account.run("products", "--region", "fr-par")
    assert (done.code, done.stdout) == (3, "")
    assert "not a list of products" in done.stderr


def test_names_in_the_list_cannot_command_the_terminal(account: Shell, emulator: Emulator) -> None:
    emulator.products["fr-par"] = [{"name": "a", "title": "\x1b[2J", "services": []}]
    done = account.run("products", "--region", "fr-par")
    assert "\x1b" not in done.stdout
    assert "\\x1b[2J" in done.stdout


@pytest.mark.parametrize("verbosity", [[], ["-vv"]])
def test_products_without_credentials_or_permission(account: Shell, emulator: Emulator, verbosity: list[str]) -> None:
    assert account.run(*verbosity, "products", SCW_SECRET_KEY="").code == 2
    emulator.faults = Faults(denied_permissions={"AuditTrailReadOnly"})
    done = account.run(*verbosity, "products")
    assert (done.code, done.stdout) == (3, "")
    assert "AuditTrailReadOnly" in done.stderr


# Imports


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["config", "show"], set()),
        (["config", "policy", "--user", APPLICATION], set()),
        (["config", "--help"], set()),
        # httpx imports rich by itself.
        (["config", "check"], {"httpx", "rich"}),
        (["products"], {"httpx", "rich"}),
    ],
)
def test_heavy_libraries_are_imported_only_by_the_commands_that_need_them(
    account: Shell, arguments: list[str], allowed: set[str]
) -> None:
    code = (
        "import atexit, sys\nfrom trailkeep.cli import main\n"
        "heavy = {'duckdb', 'pyarrow', 'httpx', 'sqlglot', 'rich', 'yaml'}\n"
        "atexit.register(lambda: print(*sorted(heavy & set(sys.modules)), file=sys.stderr))\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=account.directory,
        env={"HOME": str(account.home), "PATH": os.environ["PATH"], **account.environ},
    )
    assert done.returncode == 0
    assert set(done.stderr.split()) <= allowed
