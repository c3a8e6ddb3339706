"""What SQL sees of logins, of calls that give rights or make credentials, and of who was first seen with what."""

from __future__ import annotations

from trailkeep.schema.relation import column, view
from trailkeep.schema.tables import RESOURCE, engine_type

_ID = column("id", "VARCHAR", "The event's id, as the API gave it.", "$.id")
_RECORDED_AT = column("recorded_at", "TIMESTAMP", "When it was recorded, UTC, cut to microseconds.", "$.recorded_at")
_ORGANIZATION = column("organization_id", "VARCHAR", "The Organization.")
_PRINCIPAL = column("principal_id", "VARCHAR", "Who called; never the API key.", "$.principal.id")
_METHOD = column("method_name", "VARCHAR", "The method called.", "$.method_name")
_OUTCOME = column("outcome", "VARCHAR", "success (2xx), denied (401, 403) or failure; null where no status is known.")
_FROM = (
    column("source_ip", "VARCHAR", "The address it came from; null where none is known.", "$.source_ip"),
    column("user_agent", "VARCHAR", "What the caller said it was.", "$.user_agent"),
)

LOGINS = view(
    "logins",
    "Logins to the console, one row for each attempt.",
    _ID,
    _RECORDED_AT,
    _ORGANIZATION,
    column("user_id", "VARCHAR", "Whose account; null where the attempt names none that there is."),
    column("result", "VARCHAR", "success or failure.", "$.result"),
    column("succeeded", "BOOLEAN", "Whether result is success; false where it says anything else, or nothing."),
    column("failure_reason", "VARCHAR", "Why it failed, such as invalid_password.", "$.failure_reason"),
    column("method", "VARCHAR", "password, authentication_code, oauth2 or saml.", "$.method"),
    column("mfa_type", "VARCHAR", "totp; null where no second factor was used.", "$.mfa_type"),
    column("origin", "VARCHAR", "public_api or admin_api.", "$.origin"),
    column("country_code", "VARCHAR", "The country that Scaleway saw the address in.", "$.country_code"),
    *_FROM,
)

GRANTS = view(
    "grants",
    "Calls that give rights, one row each: policies made, changed or cloned, and members of groups. Denied and failed"
    " ones are among them.",
    _ID,
    _RECORDED_AT,
    _ORGANIZATION,
    _PRINCIPAL,
    _METHOD,
    _OUTCOME,
    column("policy_id", "VARCHAR", "The policy, from the resources or the body; null where neither names one."),
    column("group_id", "VARCHAR", "The group, from the resources or the body: that gets members, or that gets rights."),
    column(
        "grantee_ids",
        "VARCHAR[]",
        "The users, applications and groups that get the rights, from body and resources, sorted; the group of a call"
        " that adds members is not among them. [] where none is named: an UpdatePolicy may leave it as it was.",
    ),
    column("permission_sets", "VARCHAR[]", "The permission sets that the body names, sorted; a clone names none."),
    column("broad", "VARCHAR[]", "Those of them that is_broad_permission is true of."),
    *_FROM,
    column("request_body", "VARCHAR", "The request's body as JSON text.", "$.request_body"),
)

CREATIONS = view(
    "creations",
    "Calls that make an identity or a credential, one row each. Denied and failed ones are among them.",
    _ID,
    _RECORDED_AT,
    _ORGANIZATION,
    _PRINCIPAL,
    _METHOD,
    column("product_name", "VARCHAR", "The product, such as iam.", "$.product_name"),
    _OUTCOME,
    column("made_type", "VARCHAR", "user, application, api_key, ssh_key, token or database_user."),
    column(
        "made_id",
        "VARCHAR",
        "Its id, from the resources; of an API key the access key. Null where the event does not say it, as of calls"
        " that were denied.",
    ),
    column("made_name", "VARCHAR", "Its name or e-mail address, from the body, else from the resources."),
    column(
        "bearer_id",
        "VARCHAR",
        "Who can act with it: the user or application that an API key or JWT is for, the identity itself of a user or"
        " application; null of other tokens, SSH keys and users of databases, and where the event does not say it.",
    ),
    column("expires_at", "VARCHAR", "When it is to expire, as the body says it; null where it does not."),
    *_FROM,
    column("resources", f"{engine_type(RESOURCE)}[]", "What was acted on.", "$.resources"),
)

FIRST_SEEN = view(
    "first_seen",
    "Since when a principal, Project or Organization is known with an address, a product and the like, over all that is"
    " held. A value is new in a span where first_at lies in it.",
    _ORGANIZATION,
    column("subject_type", "VARCHAR", "principal, project or organization."),
    column(
        "subject_id", "VARCHAR", "Its id: of a principal who called, or whose login it was, failed ones among them."
    ),
    column(
        "dimension",
        "VARCHAR",
        "What value is of. Of a principal: activity, address, network (ip_network), agent, family"
        " (user_agent_family), locality, product, method, country (of logins, as Scaleway saw it). Of a Project:"
        " activity, locality, product, method. Of an Organization: activity, network, agent, locality, product,"
        " method, country.",
    ),
    column(
        "value",
        "VARCHAR",
        "The value; '' of activity, whose first_at says how far back anything is known. What an event does not say is"
        " no value: a call without an address gives no row.",
    ),
    column("first_at", "TIMESTAMP", "The first event with it, denied ones among them."),
    column("last_at", "TIMESTAMP", "The last event with it."),
    column("events", "BIGINT", "How many events have it."),
    column("first_success_at", "TIMESTAMP", "The first event with it that succeeded; null where none did."),
)
