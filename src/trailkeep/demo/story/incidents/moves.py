"""What attackers and responders do in more than one incident."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trailkeep.demo.story.model import Actor, Record
    from trailkeep.demo.story.staff import Person
    from trailkeep.demo.story.telling import Telling

CURL = "curl/8.14.1"
REQUESTS = "python-requests/2.32.5"
HTTPX = "python-httpx/0.28.1"
GO_HTTP = "Go-http-client/2.0"
OLD_CLI = "scaleway-cli/2.31.0 (go1.23.4; linux; amd64) scaleway-sdk-go/v1.0.0-beta.29 (go1.23.4; linux; amd64)"
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"
    " Edg/139.0.0.0"
)
OLD_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

GPU_TYPES = ("H100-1-80G", "H100-2-80G", "L40S-4-48G", "L4-8-24G")


def grant_of(telling: Telling, name: str, sets: list[str], **bearer: str) -> Record:
    """The body of a policy that gives permission sets on the whole Organization."""
    organization_id = telling.writer.organization_id
    return {
        "name": name,
        "description": "",
        "organization_id": organization_id,
        **bearer,
        "rules": [{"permission_set_names": sets, "organization_id": organization_id}],
    }


def new_key(telling: Telling, actor: Actor, *, expires: str | None = None, **bearer: str) -> tuple[str, Record]:
    """An API key for a bearer (``user_id`` or ``application_id``): the event's id, and the key."""
    key = telling.key()
    body = {**bearer, "description": "", "default_project_id": telling.production}
    if expires is not None:
        body["expires_at"] = expires
    return telling.call(actor, "iam", "CreateAPIKey", body, key, gap=(8, 40)), key


def new_ssh_key(telling: Telling, actor: Actor, name: str) -> str:
    """An SSH key in production; the event's id."""
    body = {"name": name, "public_key": "ssh-ed25519 AAAA", "project_id": telling.production}
    return telling.call(actor, "iam", "CreateSSHKey", body, telling.made("iam_ssh_key", name), gap=(10, 60))


def new_server(telling: Telling, actor: Actor, name: str, zone: str, machine_type: str) -> tuple[str, Record]:
    """A server of one's own in production: the event's id, and the server."""
    server = telling.made("instance_server", name)
    body = {
        "name": name,
        "commercial_type": machine_type,
        "image": "ubuntu_noble_gpu_os",
        "project": telling.production,
    }
    event_id = telling.call(
        actor, "instance", "CreateServer", body, server, locality=zone, project=telling.production, gap=(2, 12)
    )
    return event_id, server


def start_script(telling: Telling, actor: Actor, server: Record, zone: str) -> list[str]:
    """A cloud-init for a server, and its start."""
    return [
        telling.call(actor, "instance", method, body, server, locality=zone, project=telling.production, gap=(1, 4))
        for method, body in (
            ("SetServerUserData", {"key": "cloud-init"}),
            ("ServerAction", {"action": telling.rng.choice(("poweron", "reboot"))}),
        )
    ]


def group_of(telling: Telling, name: str) -> Record:
    """A group of the Organization as events name it."""
    found = next(each for each in telling.registers.groups if each["name"] == name)
    return telling.existing("iam_group", name, known_id=found["id"])


def lock(telling: Telling, actor: Actor, person: Person) -> str:
    """A user is locked; the call has two names."""
    method = telling.rng.choice(("LockUser", "LockMember"))
    return telling.call(actor, "iam", method, {"user_id": person.id}, telling.user(person), gap=(5, 60))


def delete_key(telling: Telling, actor: Actor, key: Record) -> str:
    """An API key is deleted."""
    return telling.call(actor, "iam", "DeleteAPIKey", {}, telling.gone(key), gap=(30, 200))


def key_of(telling: Telling, bearer_id: str) -> Record:
    """The API key that a user or an application has had all along."""
    found = next(
        each for each in telling.registers.api_keys if bearer_id in {each.get("application_id"), each.get("user_id")}
    )
    return telling.existing("iam_api_key", None, known_id=found["access_key"])
