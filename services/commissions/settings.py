"""The environment of the commissions processes."""

from pathlib import Path

from shared.runtime.settings import ProcessSettings


class CommissionsSettings(ProcessSettings):
    """What commissions-api and commissions-worker need beyond any process.

    principal_keyring_file: verifies the gateway's principals (the HTTP process only).
    """

    principal_keyring_file: Path | None = None
