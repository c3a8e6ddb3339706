"""`trailkeep directory who`: who somebody is, what they may do, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.directory import Format, group
from trailkeep.cli.state import ReportFormat, moment_option, now, state_of
from trailkeep.errors import UsageError
from trailkeep.hostile import one_line
from trailkeep.streams import parse_organization_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.directory.finding import Found
    from trailkeep.directory.history import History


@group.command("who")
def who(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|ID", help="A name, an e-mail address, an id or an access key.")],
    *,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="As it was then (default: now, and what was).")] = None,
    organization: Annotated[
        str | None, typer.Option(metavar="ID", help="Of this Organization (default: of all in the archive).")
    ] = None,
    report_format: Format = ReportFormat.TEXT,
) -> None:
    """Show who somebody is: names, groups, policies, permissions and keys, and when each came and went.

    Reads the archive only. An access key leads to whose it is. Where a name may mean several, they are listed, and the
    exit code is 2.
    """
    from trailkeep.analysis.directory import directory_of
    from trailkeep.directory.history import PEOPLE
    from trailkeep.directory.who import describe
    from trailkeep.store import Archive

    archive = Archive.open(state_of(context).settings().archive)
    asked_at = now()
    moment = moment_option("--at", at, asked_at) or asked_at
    history = archive.read_consistently(lambda ledger: directory_of(archive, ledger, PEOPLE))
    described = describe(history, _one(history, name, organization), moment)
    if report_format is ReportFormat.JSON:
        output.write_json(described)
        return
    for line in _lines(described, then=at is not None):
        output.write_text(one_line(line))
    for unknown in described["not_known"]:
        diagnostics.say(f"not known: {unknown}")


def _one(history: History, name: str, organization: str | None) -> Found:
    """The one that is meant. Raises UsageError with the candidates, or the nearest names."""
    from trailkeep.analysis.resolving import ambiguous, candidate_of
    from trailkeep.directory.finding import find, nearest

    found = find(history, name)
    if organization is not None:
        try:
            wanted = parse_organization_id(organization)
        except ValueError as error:
            raise UsageError(f"--organization: {error}") from error
        found = [each for each in found if each.organization_id == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise ambiguous(repr(one_line(name)), [candidate_of(each) for each in found])
    if not history.lists:
        raise UsageError(
            f"the archive holds no directory, so nothing is known of {one_line(name)!r}",
            hint="Run `trailkeep directory sync`, with a key that has IAMReadOnly and ProjectReadOnly.",
        )
    near = ", ".join(one_line(each) for each in nearest(history, name))
    raise UsageError(
        f"the directory has never seen {one_line(name)!r}",
        hint=f"Nearest: {near}." if near else "`trailkeep directory list --gone` lists all that it has seen.",
    )


_PRESENCE = {
    "there": "there",
    "earliest known": "as it is known first",
    "gone": "gone",
    "not yet": "not there yet",
    "never seen": "never seen in the directory",
}


def _lines(who: dict[str, Any], *, then: bool) -> Iterator[str]:
    """The description as text; with `then`, only what held at the moment."""
    name = f" {who['name']}" if who["name"] else ""
    yield f"{who['kind']}{name} ({who['id']}) of {who['organization_id']}"
    if who["access_key"] and who["kind"] != "API key":
        yield f"whose API key {who['access_key']} is"
    yield f"at {_second(who['as_of'])}: {_PRESENCE[who['presence']]}{f' ({when})' if (when := _when(who)) else ''}"
    for title, rows in _sections(who, then=then):
        if rows:
            yield f"{title}:"
            yield from (f"  {line}" for line in output.columns(rows))
    hidden = sum(1 for part in _PARTS for each in who[part] if each["state"] is None) if then else 0
    if hidden:
        yield f"{hidden} more held at other times only: leave out --at, or add --format json"


_PARTS = ("names", "members", "groups", "policies", "permissions", "api_keys", "ssh_keys")


def _sections(who: dict[str, Any], *, then: bool) -> Iterator[tuple[str, list[list[str]]]]:
    """Each part with a title, as the columns of its rows."""
    parts = {part: [each for each in who[part] if not then or each["state"]] for part in _PARTS}
    if fields := {key: value for key, value in who["fields"].items() if key in _SHOWN and value not in ("", [])}:
        yield "properties", [[one_line(key), one_line(str(value))] for key, value in fields.items()]
    yield "names", [[one_line(" / ".join(each["names"])), _when(each)] for each in parts["names"]]
    yield "members", [[each["kind"], _called(each), _when(each)] for each in parts["members"]]
    yield "groups", [[_called(each), _when(each)] for each in parts["groups"]]
    yield "policies", [[_called(each), _via(each), _when(each)] for each in parts["policies"]]
    yield (
        "permission sets",
        [
            [one_line(each["permission_set"]), _scope(each), f"by {_short(each['policy'])}", _via(each), _when(each)]
            for each in parts["permissions"]
        ],
    )
    yield "API keys", [_key(each) for each in parts["api_keys"]]
    yield (
        "SSH keys of the Projects of these API keys" if who["kind"] != "SSH key" else "SSH key",
        [
            [_called(each), one_line(each["fingerprint"] or ""), f"Project {_short(each['project'])}", _when(each)]
            for each in parts["ssh_keys"]
        ],
    )


_SHOWN = frozenset(
    {"description", "email", "locked", "managed", "mfa", "status", "type", "last_login_at", "created_at"}
)


def _key(key: dict[str, Any]) -> list[str]:
    expiry = (
        f"expire{'d' if key['expired'] else 's'} {_second(key['expires_at'])}" if key["expires_at"] else "no expiry"
    )
    return [
        key["access_key"],
        one_line(key["description"] or ""),
        f"made {_second(key['created_at']) or 'at an unknown time'} from {one_line(key['creation_ip'] or 'unknown')}",
        expiry,
        f"default Project {_short(key['default_project'])}",
        _when(key),
    ]


def _scope(permission: dict[str, Any]) -> str:
    projects = ", ".join(_short(project) for project in permission["projects"])
    scope = {"organization": "the Organization", "projects": f"Projects {projects}"}.get(
        permission["scope"], "scope not known"
    )
    return one_line(f"{scope}{f' if {condition}' if (condition := permission['condition']) else ''}")


def _called(each: dict[str, Any]) -> str:
    return one_line(f"{each['name']} ({each['id']})" if each["name"] else each["id"])


def _short(each: dict[str, Any] | None) -> str:
    return "none" if each is None else one_line(each["name"] or each["id"])


def _via(each: dict[str, Any]) -> str:
    if each["via_group"] is None:
        return "directly"
    return f"through group {_short(each['via_group'])}"


def _when(each: dict[str, Any]) -> str:
    """The spells in words."""
    return "; ".join(map(_spell, each["spells"]))


def _spell(spell: dict[str, Any]) -> str:
    since = f"since {_second(spell['from'])}"
    if spell["not_before"] is None:
        since += " or earlier"
    elif spell["not_before"] != spell["from"]:
        since += f" or earlier, from {_second(spell['not_before'])} on"
    if spell["to"] is None:
        return since
    seen = f" (last seen {_second(spell['last_seen'])})" if spell["last_seen"] else ""
    return f"{since} until {_second(spell['to'])}{seen}"


def _second(moment: str | None) -> str:
    return f"{moment[:19].replace('T', ' ')}Z" if moment else ""
