"""Data: what matters in a breach and is not documented to leave an event."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlogged:
    """One kind of actions."""

    name: str
    what: str
    """What an attacker does with it, and where else to look."""
    products: tuple[str, ...] = ()
    """The products whose every action it is, as product lists name them."""
    methods: tuple[str, ...] = ()
    """The methods by their names, in any product."""
    verbs: tuple[str, ...] = ()
    """First words of methods."""
    attack: tuple[str, ...] = ()
    """ATT&CK techniques."""


UNLOGGED: tuple[Unlogged, ...] = (
    Unlogged(
        name="secret values read",
        what="Reading a secret's value. Take every secret that a principal could read for read.",
        methods=("AccessSecretVersion", "AccessSecretVersionByPath"),
        attack=("T1555.006",),
    ),
    Unlogged(
        name="kubeconfig downloaded",
        what="A kubeconfig gives the cluster's own API, whose calls leave no event here: see the cluster's audit log.",
        methods=("GetClusterKubeConfig",),
        attack=("T1552.007",),
    ),
    Unlogged(
        name="Object Storage",
        what="Everything done to buckets and objects: read, written, deleted, encrypted, or made public.",
        products=("object-storage", "object_storage", "s3"),
        attack=("T1530", "T1485", "T1486", "T1537"),
    ),
    Unlogged(
        name="Block Storage",
        what="Everything done to volumes and their snapshots, exports to Object Storage among it.",
        products=("block", "block-storage", "block_storage", "sbs"),
        attack=("T1578.001", "T1485", "T1537"),
    ),
    Unlogged(
        name="keys used",
        what="Decrypting, signing and making data keys with a key of Key Manager; changes of the keys are logged.",
        methods=("Decrypt", "Encrypt", "Sign", "Verify", "GenerateDataKey", "WrapKey", "UnwrapKey"),
        attack=("T1552",),
    ),
    Unlogged(
        name="lists and gets",
        what="Looking round: every List and Get, in all products; user data, logs and certificates are read so, too.",
        verbs=("List", "Get", "Browse"),
        attack=("T1526", "T1580", "T1087.004", "T1069.003"),
    ),
)
"""From what Scaleway documents to be logged: changing calls, and the steps of a login."""


def covers(unlogged: Unlogged, product: str, method: str) -> bool:
    """Whether a method of a product list is one of these actions, so that it is logged after all."""
    return (
        product.lower() in unlogged.products
        or method in unlogged.methods
        or any(method.startswith(verb) and not method[len(verb) : len(verb) + 1].islower() for verb in unlogged.verbs)
    )
