"""What must hold of an overlay's backups: each change is archived within a minute, beside base backups to add it to."""

from collections.abc import Iterator
from typing import Any, Final

PLUGIN: Final = "barman-cloud.cloudnative-pg.io"
SECRET: Final = "tributary-backups"
ARCHIVE_SECONDS_MAX: Final = 60

Manifest = dict[str, Any]


def backup_faults(overlay: list[Manifest]) -> Iterator[str]:
    """Complaints about clusters that an operator runs, their archive and their base backups."""
    clusters, stores, schedules = (_of(overlay, kind) for kind in ("Cluster", "ObjectStore", "ScheduledBackup"))
    for name, cluster in clusters.items():
        archivers = [plugin for plugin in cluster["spec"].get("plugins", []) if plugin.get("isWALArchiver")]
        if [plugin["name"] for plugin in archivers] != [PLUGIN]:
            yield f"{name} archives no changes"
        elif archivers[0].get("parameters", {}).get("barmanObjectName") not in stores:
            yield f"{name} archives to a store that is not there"
        timeout = str(cluster["spec"].get("postgresql", {}).get("parameters", {}).get("archive_timeout", "5min"))
        if not timeout.removesuffix("s").isdigit() or not 0 < int(timeout.removesuffix("s")) <= ARCHIVE_SECONDS_MAX:
            yield f"{name} may lose more than {ARCHIVE_SECONDS_MAX} s of changes"
        if name not in {schedule["spec"].get("cluster", {}).get("name") for schedule in schedules.values()}:
            yield f"{name} has no base backups"
    for name, schedule in schedules.items():
        if schedule["spec"].get("cluster", {}).get("name") not in clusters:
            yield f"{name} backs up a cluster that is not there"
        if schedule["spec"].get("pluginConfiguration", {}).get("name") != PLUGIN:
            yield f"{name} does not go where the changes go"
    for name, store in stores.items():
        yield from (f"{name} {fault}" for fault in _store_faults(store))


def _store_faults(store: Manifest) -> Iterator[str]:
    configuration = store["spec"].get("configuration", {})
    credentials = configuration.get("s3Credentials", {})
    if {reference.get("name") for reference in credentials.values()} != {SECRET}:
        yield "does not take its credentials from the secret"
    if any(configuration.get(part, {}).get("encryption") is None for part in ("wal", "data")):
        yield "is not encrypted"
    if not store["spec"].get("retentionPolicy"):
        yield "keeps backups for ever"


def _of(overlay: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {found["metadata"]["name"]: found for found in overlay if found["kind"] == kind and "spec" in found}
