"""`trailkeep products`: what the API says it would log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.remote import open_client
from trailkeep.cli.state import ReportFormat, state_of
from trailkeep.errors import NotOffered, RemoteError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.api import Client


@app.command()
def products(
    context: typer.Context,
    *,
    region: Annotated[
        list[str] | None, typer.Option("--region", metavar="REGION", help="Ask this region only; repeatable.")
    ] = None,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="How to write the result.")
    ] = ReportFormat.TEXT,
) -> None:
    """List the products, services and methods that the API reports as integrated, by region.

    What is not listed leaves no event: the list is the limit of what the archive can show.
    """
    settings = state_of(context).settings(regions=region)
    found: dict[str, list[dict[str, Any]]] = {}
    absent: list[str] = []
    with open_client(settings) as client:
        for name in settings.regions:
            try:
                found[name] = _ask(client, name)
            except NotOffered:
                if settings.origins["regions"].startswith("flag"):
                    raise
                absent.append(name)
                diagnostics.warn(f"{name} does not offer the list of products")
    if not found:
        raise RemoteError(
            "no region offers the list of products",
            hint="check the regions and api_url: `trailkeep config show`",
        )
    if report_format is ReportFormat.JSON:
        output.write_json({"regions": found, "not_offered": absent})
        return
    for line in _lines(found):
        output.write_text(line)


def _ask(client: Client, region: str) -> list[dict[str, Any]]:
    """The region's products in order of their names. Raises RemoteError."""
    path = f"/audit-trail/v1alpha1/regions/{region}/products"
    answer = client.json(path, {"organization_id": client.organization_id})
    try:
        listed = [_product(product) for product in answer.get("products") or []]
    except (AttributeError, KeyError, TypeError) as error:
        raise RemoteError(f"{path}: the answer is not a list of products") from error
    return sorted(listed, key=lambda product: str(product["name"]))


def _product(product: dict[str, Any]) -> dict[str, Any]:
    services: list[dict[str, Any]] = [
        {"name": str(service["name"]), "methods": sorted(str(method) for method in service.get("methods") or [])}
        for service in product.get("services") or []
    ]
    return {
        "name": str(product["name"]),
        "title": str(product.get("title") or product["name"]),
        "services": sorted(services, key=lambda service: str(service["name"])),
    }


def _lines(found: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """The list as text; regions that say the same share one list."""
    shared: list[tuple[list[str], list[dict[str, Any]]]] = []
    for region, listed in found.items():
        for regions, same in shared:
            if same == listed:
                regions.append(region)
                break
        else:
            shared.append(([region], listed))
    for regions, listed in shared:
        services = [service for product in listed for service in product["services"]]
        methods = sum(len(service["methods"]) for service in services)
        counts = f"{len(listed)} products, {len(services)} services, {methods} methods"
        yield f"{', '.join(regions)}: {counts}"
        for product in listed:
            yield f"  {product['title']} ({product['name']})"
            for service in product["services"]:
                yield f"    {service['name']}"
                for method in service["methods"]:
                    yield f"      {method}"
