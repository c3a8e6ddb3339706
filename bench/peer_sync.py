"""What a user would pick instead of `trailkeep sync`: the official SDK's paging loop, and dlt's REST source.

Runs in an environment of its own, without Trailkeep: ``python peer_sync.py sdk|dlt URL ORGANIZATION ACCESS SECRET SINCE
UNTIL FOLDER``. Prints how many events were written.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from datetime import datetime
from pathlib import Path

REGIONS = ("fr-par", "nl-ams", "pl-waw")
KINDS = ("events", "authentication-events", "system-events")
PAGE_SIZE = 100


def sdk(url: str, organization: str, access: str, secret: str, since: str, until: str, folder: Path) -> int:
    """The loop of the SDK's users: page after page, region after region, each event a line of NDJSON."""
    from scaleway import Client
    from scaleway.audit_trail.v1alpha1 import AuditTrailV1Alpha1API

    client = Client(
        access_key=access,
        secret_key=secret,
        api_url=url,
        default_organization_id=organization,
        default_project_id=organization,
        default_region="fr-par",
    )
    # A Project that is asked for by default would leave out the events of all others.
    client.default_project_id = None
    api = AuditTrailV1Alpha1API(client)
    methods = (api.list_events, api.list_authentication_events, api.list_system_events)
    written = 0
    with (folder / "events.ndjson").open("w") as file:
        for region in REGIONS:
            for method in methods:
                token = None
                while True:
                    page = method(
                        region=region,
                        organization_id=organization,
                        recorded_after=datetime.fromisoformat(since),
                        recorded_before=datetime.fromisoformat(until),
                        order_by="recorded_at_asc",
                        page_size=PAGE_SIZE,
                        page_token=token,
                    )
                    for event in page.events or []:
                        file.write(json.dumps(dataclasses.asdict(event), default=str) + "\n")
                        written += 1
                    token = page.next_page_token
                    if not token:
                        break
    return written


def dlt_rest(url: str, organization: str, _access: str, secret: str, since: str, until: str, folder: Path) -> int:
    """dlt's REST source with its token paginator, into Parquet files in a folder."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
    os.environ["DESTINATION__FILESYSTEM__BUCKET_URL"] = (folder / "lake").as_uri()
    import dlt
    from dlt.sources.rest_api import rest_api_source

    paginator = {"type": "cursor", "cursor_path": "next_page_token", "cursor_param": "page_token"}
    query = {
        "organization_id": organization,
        "recorded_after": since,
        "recorded_before": until,
        "order_by": "recorded_at_asc",
        "page_size": PAGE_SIZE,
    }
    source = rest_api_source(
        {
            "client": {
                "base_url": url,
                "auth": {"type": "api_key", "name": "X-Auth-Token", "api_key": secret, "location": "header"},
                "paginator": paginator,
            },
            "resources": [
                {
                    "name": f"{kind}_{region}".replace("-", "_"),
                    "endpoint": {
                        "path": f"/audit-trail/v1alpha1/regions/{region}/{kind}",
                        "params": query,
                        "data_selector": "events",
                    },
                }
                for region in REGIONS
                for kind in KINDS
            ],
        }
    )
    pipeline = dlt.pipeline(pipeline_name="trail", destination="filesystem", dataset_name="trail")
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()
    counts = pipeline.last_trace.last_normalize_info.row_counts
    return sum(count for name, count in counts.items() if "__" not in name.removeprefix("_dlt") and name[0] != "_")


def main() -> None:
    """Run one of the two."""
    name, *arguments, folder = sys.argv[1:]
    count = {"sdk": sdk, "dlt": dlt_rest}[name](*arguments, Path(folder))
    print(json.dumps({"events": count}))


if __name__ == "__main__":
    main()
