"""`trailkeep config`: which settings apply, whether they work, and the policy that they need."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import output, policy
from trailkeep.cli.app import app
from trailkeep.cli.remote import open_client
from trailkeep.cli.state import ReportFormat, now, state_of
from trailkeep.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trailkeep.cli.checks import Report
    from trailkeep.config import Settings

group = typer.Typer(
    name="config",
    help="Show the settings, try them, and print the IAM policy that they need.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(group)


class PolicyFormat(StrEnum):
    """How `config policy` writes the policy."""

    JSON = "json"
    CURL = "curl"
    SCW = "scw"
    ALL = "all"


Format = Annotated[ReportFormat, typer.Option("--format", help="How to write the result.")]


@group.command()
def show(context: typer.Context, *, report_format: Format = ReportFormat.TEXT) -> None:
    """Print every setting, its value, and where the value came from. Secrets are masked."""
    settings = state_of(context).settings()
    rows = _rows(settings)
    if report_format is ReportFormat.JSON:
        output.write_json(
            {
                "settings": rows,
                "settings_file": settings.settings_file,
                "scw_file": settings.scw_file,
                "warnings": list(settings.warnings),
            }
        )
        return
    output.write_text(_table([(row["name"], _as_text(row["value"]), row["origin"]) for row in rows]))


@group.command(name="policy")
def print_policy(
    context: typer.Context,
    *,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="The user who gets the policy.")] = None,
    application: Annotated[
        str | None, typer.Option("--application", metavar="ID", help="The application that gets the policy.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="The policy's name.")] = "trailkeep-sync",
    policy_format: Annotated[
        PolicyFormat, typer.Option("--format", help="How to write the policy.")
    ] = PolicyFormat.ALL,
) -> None:
    """Print the least-privilege IAM policy that a sync needs. Nothing is sent."""
    principal, principal_id = _principal(user, application)
    if not name.isprintable() or not 0 < len(name.strip()) <= len(name) <= policy.MAX_NAME_LENGTH:
        raise UsageError(f"--name must be 1 to {policy.MAX_NAME_LENGTH} printable characters")
    settings = state_of(context).settings()
    body = policy.request_body(
        organization_id=settings.required_organization_id(),
        principal=principal,
        principal_id=principal_id,
        name=name,
    )
    if policy_format is PolicyFormat.JSON:
        output.write_json(body)
    elif policy_format is PolicyFormat.CURL:
        output.write_text(policy.curl_command(body, settings.api_url))
    elif policy_format is PolicyFormat.SCW:
        output.write_text(policy.scw_command(body))
    else:
        output.write_text("# Request body of POST /iam/v1alpha1/policies")
        output.write_json(body)
        output.write_text("\n# The same with curl; SCW_SECRET_KEY must be that of somebody who may manage IAM")
        output.write_text(policy.curl_command(body, settings.api_url))
        output.write_text("\n# The same with the scw CLI")
        output.write_text(policy.scw_command(body))


@group.command()
def check(
    context: typer.Context,
    *,
    region: Annotated[
        list[str] | None, typer.Option("--region", metavar="REGION", help="Check this region only; repeatable.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Check this kind of events only; repeatable."),
    ] = None,
    report_format: Format = ReportFormat.TEXT,
) -> None:
    """Try the API with these settings, and say what a sync would lack. Exit code 0 when it would work."""
    from trailkeep.cli import checks

    settings = state_of(context).settings(regions=region, kinds=kind)
    report = checks.Report(findings=checks.check_settings(settings))
    if report.exit_code is ExitCode.DONE:
        with open_client(settings, retries=checks.RETRIES) as client:
            asked = checks.check_api(client, settings, now())
        report = checks.Report(findings=report.findings + asked.findings, clock_offset=asked.clock_offset)
    if report_format is ReportFormat.JSON:
        output.write_json(_report_as_json(report))
    else:
        output.write_text(_report_as_text(report))
    raise typer.Exit(int(report.exit_code))


def _report_as_json(report: Report) -> dict[str, Any]:
    offset = report.clock_offset
    return {
        "ok": report.exit_code is ExitCode.DONE,
        "exit_code": int(report.exit_code),
        "clock_offset_seconds": None if offset is None else round(offset.total_seconds(), 1),
        "findings": [
            {
                "subject": finding.subject,
                "outcome": finding.outcome.value,
                "message": finding.message,
                "hint": finding.hint,
            }
            for finding in report.findings
        ],
    }


def _report_as_text(report: Report) -> str:
    lines = [_table([(finding.outcome.value, finding.subject, finding.message) for finding in report.findings])]
    hints = dict.fromkeys(finding.hint for finding in report.findings if finding.hint)
    lines += [f"hint: {hint}" for hint in hints]
    works = report.exit_code is ExitCode.DONE
    lines.append("A sync would work." if works else "A sync would not work.")
    return "\n".join(lines)


def _principal(user: str | None, application: str | None) -> tuple[policy.Principal, str]:
    from uuid import UUID

    if (user is None) == (application is None):
        raise UsageError(
            "give either --user ID or --application ID",
            hint="an application of its own is the better choice for a sync that runs by itself:"
            " `scw iam application create name=trailkeep` makes one",
        )
    option, text = ("--user", user) if application is None else ("--application", application)
    try:
        return ("user_id" if application is None else "application_id"), str(UUID(text))
    except ValueError:
        raise UsageError(f"{option} must be an id, which is a UUID, not {text!r}") from None


def _rows(settings: Settings) -> list[dict[str, Any]]:
    from trailkeep.config import SETTINGS
    from trailkeep.config.declared import shown, shown_access_key

    values = {setting.name: shown(getattr(settings, setting.name)) for setting in SETTINGS}
    values["access_key"] = shown_access_key(settings.access_key)
    return [
        {
            "name": setting.name,
            "value": values[setting.name],
            "origin": settings.origins[setting.name],
            "description": setting.description,
        }
        for setting in SETTINGS
    ]


def _as_text(value: object) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows in columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
