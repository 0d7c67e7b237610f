"""What every row is given: the tier, a folder of its own, a platform to break, a way to say how far it is."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from deploy.local.kafka_install import KafkaUnavailable, cache_folder, ensure_kafka, find_java, say_on_stderr
from tests.faults.scorecard import RowNotPossible, Tier
from tests.faults.staged_platform import StagedPlatform


class Bench:
    """Lives as long as one run of the scorecard. Rows share one platform at a time, and leave it serving."""

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self._row_id = ""
        self._began_at = time.monotonic()
        self._root = Path(tempfile.mkdtemp(prefix="tributary-faults-"))
        self._root.chmod(0o711)
        self._platform: StagedPlatform | None = None
        self._platforms = 0

    def enter(self, row_id: str) -> None:
        """From now on what is said and written belongs to this row."""
        self._row_id = row_id

    @property
    def folder(self) -> Path:
        """The row's own folder: histories and dumps. Kept after the run where KEEP_FAULTS_FOLDER is set."""
        folder = self._root / self._row_id.lower()
        folder.mkdir(mode=0o711, exist_ok=True)
        return folder

    def say(self, what: str) -> None:
        """Show progress, beside the scorecard's own lines."""
        elapsed = time.monotonic() - self._began_at
        print(f"  {elapsed:6.1f} s  {self._row_id}: {what}", file=sys.stderr, flush=True)

    async def platform(self, *, needs_kafka: bool = False) -> StagedPlatform:
        """A serving platform: on Apache Kafka where that runs here, else on the embedded log. Shared between rows.

        Raises RowNotPossible where Kafka is needed and cannot run.
        """
        with_kafka = _can_run_kafka()
        if needs_kafka and not with_kafka:
            raise RowNotPossible("needs Apache Kafka: Java 17+ and Maven")
        if self._platform is None:
            self._platforms += 1
            home = self._root / f"platform-{self._platforms}"
            home.mkdir(mode=0o711)
            self.say(f"starting a platform on {'Apache Kafka' if with_kafka else 'the embedded log'}")
            platform = StagedPlatform(home, with_kafka=with_kafka)
            self._platform = platform
            await platform.begin()
        return self._platform

    async def discard_platform(self) -> None:
        """Stop the shared platform: a row that has failed may have left it broken; the next one gets a new one."""
        platform, self._platform = self._platform, None
        if platform is not None:
            await platform.finish()

    async def close(self) -> None:
        """Stop everything and delete the folders."""
        await self.discard_platform()
        if os.environ.get("KEEP_FAULTS_FOLDER"):
            print(f"kept: {self._root}", file=sys.stderr)
        else:
            shutil.rmtree(self._root, ignore_errors=True)


def _can_run_kafka() -> bool:
    try:
        find_java()
        ensure_kafka(cache_folder(), say=say_on_stderr)
    except KafkaUnavailable:
        if os.environ.get("REQUIRE_APACHE_KAFKA"):
            raise
        return False
    return True
