"""What the macros of every connection take, give and mean; their SQL is in the catalog."""

from __future__ import annotations

from trailkeep.schema.forensic_macros import OF_BODIES, OF_RESOURCES, OF_TIME
from trailkeep.schema.macro import Macro

__all__ = ["MACROS", "Macro"]


MACROS: dict[str, Macro] = {
    macro.name: macro
    for macro in (
        Macro(
            name="ip_in_cidr",
            arguments=(("ip", "VARCHAR"), ("cidr", "VARCHAR")),
            returns="BOOLEAN",
            description=(
                "Whether an address lies in a network, IPv4 or IPv6; a network without a length is one address."
                " NULL where either is NULL or not an address."
            ),
            examples=(
                ("ip_in_cidr('192.0.2.7', '192.0.2.0/24')", "true"),
                ("ip_in_cidr('2001:db8::1', '2001:db9::/32')", "false"),
                ("ip_in_cidr(NULL, '192.0.2.0/24')", "NULL"),
            ),
        ),
        Macro(
            name="ip_network",
            arguments=(("ip", "VARCHAR"),),
            returns="VARCHAR",
            description=(
                "The network around an address, written in one way: the /24 of an IPv4 address, however it is written,"
                " the /64 of an IPv6 address. NULL for what is none."
            ),
            examples=(
                ("ip_network('192.0.2.7')", "'192.0.2.0/24'"),
                ("ip_network('2001:DB8:0:1:0::5')", "'2001:db8:0:1::/64'"),
                ("ip_network('::ffff:192.0.2.7')", "'192.0.2.0/24'"),
                ("ip_network('x')", "NULL"),
            ),
        ),
        Macro(
            name="is_success",
            arguments=(("code", "INTEGER"),),
            returns="BOOLEAN",
            description="Whether an HTTP status is one of success: 200 to 299. NULL for NULL.",
            examples=(("is_success(202)", "true"), ("is_success(403)", "false")),
        ),
        Macro(
            name="is_denied",
            arguments=(("code", "INTEGER"),),
            returns="BOOLEAN",
            description="Whether an HTTP status says that the caller may not: 401 or 403. NULL for NULL.",
            examples=(("is_denied(403)", "true"), ("is_denied(404)", "false")),
        ),
        Macro(
            name="outcome_of",
            arguments=(("code", "INTEGER"),),
            returns="VARCHAR",
            description="'success', 'denied' (401, 403) or 'failure' for an HTTP status. NULL for NULL.",
            examples=(
                ("outcome_of(202)", "'success'"),
                ("outcome_of(401)", "'denied'"),
                ("outcome_of(500)", "'failure'"),
            ),
        ),
        *OF_BODIES,
        *OF_RESOURCES,
        *OF_TIME,
        Macro(
            name="verb",
            arguments=(("method", "VARCHAR"),),
            returns="VARCHAR",
            description="The first word of a method's name; NULL where it does not begin with one.",
            examples=(("verb('DeleteSnapshot')", "'Delete'"), ("verb('')", "NULL")),
        ),
        Macro(
            name="user_agent_family",
            arguments=(("ua", "VARCHAR"),),
            returns="VARCHAR",
            description=(
                "The kind of program that a user agent says it is, such as terraform, scaleway-cli, browser, python or"
                " curl; 'other' where it is none of those known. The caller chooses what it says."
            ),
            examples=(
                ("user_agent_family('scaleway-cli/2.40.0 (go1.24; linux; amd64)')", "'scaleway-cli'"),
                ("user_agent_family('x')", "'other'"),
            ),
        ),
        Macro(
            name="ip_label",
            arguments=(("ip", "VARCHAR"),),
            returns="VARCHAR",
            description=(
                "What kind of address it is: unspecified, loopback, private, shared, link-local, documentation,"
                " benchmarking, multicast, reserved, or scaleway for Scaleway's own well-known ranges, in which anybody"
                " can rent a server. NULL for every other address, and for what is none."
            ),
            examples=(
                ("ip_label('10.0.0.7')", "'private'"),
                ("ip_label('51.15.200.1')", "'scaleway'"),
                ("ip_label('8.8.8.8')", "NULL"),
            ),
        ),
        Macro(
            name="ip_country",
            arguments=(("ip", "VARCHAR"),),
            returns="VARCHAR",
            description=(
                "The country, two letters, that the address is registered in, which is not where its user sits."
                " With the extra geo; NULL without it, and where it is not known."
            ),
            examples=(("ip_country('10.0.0.7')", "NULL"), ("ip_country(NULL)", "NULL")),
        ),
        Macro(
            name="ip_asn",
            arguments=(("ip", "VARCHAR"),),
            returns="VARCHAR",
            description=(
                "The autonomous system, such as AS12876 Scaleway S.a.s., from the MMDB files of the setting mmdb."
                " With the extra geo; NULL without it or without a file, and where it is not known."
            ),
            examples=(("ip_asn(NULL)", "NULL"),),
        ),
        Macro(
            name="ip_city",
            arguments=(("ip", "VARCHAR"),),
            returns="VARCHAR",
            description=(
                "The city's English name, from the MMDB files of the setting mmdb. With the extra geo; NULL without it"
                " or without a file, and where it is not known."
            ),
            examples=(("ip_city(NULL)", "NULL"),),
        ),
    )
}
