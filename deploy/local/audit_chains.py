"""The audit chains of a network, each in its own service's database, proved one after another."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.roles import SERVICES
from deploy.local.service_database import find_database_url
from deploy.local.state_folder import StateFolder
from shared.runtime.audit_reader import ChainBroken, Head, verify_chain
from shared.runtime.database import Database


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What became of one chain's proof. head: its end, None for a broken one. broken: where and how, "" for proved."""

    service: str
    head: Head | None
    broken: str = ""

    @property
    def line(self) -> str:
        """For people."""
        if self.head is None:
            return f"{self.service}: audit chain broken: {self.broken}"
        return f"{self.service}: audit chain proved: {self.head.number} entries, end {self.head.hash.hex()}"


def prove_chains(
    state: StateFolder, environment: Mapping[str, str], *, anchors: Mapping[str, Head] | None = None
) -> list[ChainReport]:
    """Prove every chain, also after one is broken. anchors: ends kept since an earlier proof, by service.

    Raises: PlainProblem where a database is not to be found; what the database raises.
    """
    urls = {name: find_database_url(name, state=state, environment=environment) for name in SERVICES}
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return [runner.run(_prove(name, url, (anchors or {}).get(name))) for name, url in urls.items()]


async def _prove(service: str, url: str, anchor: Head | None) -> ChainReport:
    database = Database(url, role=f"{service}_staff", pool_size=1, name=f"{service}-audit-verify")
    try:
        async with database.transaction() as session:
            return ChainReport(service, await verify_chain(session, anchor=anchor))
    except ChainBroken as broken:
        return ChainReport(service, None, str(broken))
    finally:
        await database.close()
