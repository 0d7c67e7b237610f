"""Keyrings rotate while processes run, survive a bad file, and never show a secret."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.runtime.keyring import (
    Keyring,
    KeyringInvalid,
    add_key,
    create_keyring_file,
    promote_key,
    retire_key,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "ab" * 32


def write(path: Path, document: Any) -> None:
    """`document` in a new file at `path`, as an operator would put it there."""
    scratch = path.with_suffix(".new")
    scratch.write_text(document if isinstance(document, str) else json.dumps(document))
    scratch.chmod(0o600)
    scratch.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A fresh keyring file."""
    create_keyring_file(tmp_path / "keys.json")
    return tmp_path / "keys.json"


def test_a_fresh_file_signs_and_verifies_with_one_key(path: Path) -> None:
    keyring = Keyring.load(path)

    assert keyring.signing.id == 1
    assert len(keyring.signing.secret) == 32
    assert keyring.verification_secrets(NOW) == {1: keyring.signing.secret}
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        create_keyring_file(path)


def test_a_rotation_verifies_the_old_key_all_the_way(path: Path) -> None:
    keyring = Keyring.load(path)
    first = keyring.signing

    second_id = add_key(path)
    assert keyring.reload()
    assert keyring.signing == first
    assert set(keyring.verification_secrets(NOW)) == {1, 2}

    promote_key(path, second_id)
    assert keyring.reload()
    assert keyring.signing.id == 2
    assert keyring.find(1, NOW) == first

    retire_key(path, 1, not_after=NOW)
    assert keyring.reload()
    assert keyring.find(1, NOW) is not None
    assert keyring.find(1, NOW + timedelta(microseconds=1)) is None
    assert set(keyring.verification_secrets(NOW + timedelta(seconds=1))) == {2}


def test_the_signing_key_cannot_be_retired_and_an_unknown_one_not_promoted(path: Path) -> None:
    with pytest.raises(KeyringInvalid, match="promote another"):
        retire_key(path, 1, not_after=NOW)
    with pytest.raises(KeyringInvalid, match="one of the keys"):
        promote_key(path, 9)
    assert Keyring.load(path).signing.id == 1


def test_a_key_that_is_being_retired_is_not_promoted_again(path: Path) -> None:
    second_id = add_key(path)
    promote_key(path, second_id)
    retire_key(path, 1, not_after=NOW)

    with pytest.raises(KeyringInvalid, match="being retired"):
        promote_key(path, 1)
    assert Keyring.load(path).signing.id == second_id


def test_the_same_key_can_be_added_to_another_copy(path: Path, tmp_path: Path) -> None:
    create_keyring_file(tmp_path / "copy.json")
    add_key(path)
    secret = Keyring.load(path).verification_secrets(NOW)[2]

    add_key(tmp_path / "copy.json", secret=secret)

    assert Keyring.load(tmp_path / "copy.json").verification_secrets(NOW)[2] == secret


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        f'{{"signing": 1, "keys": {{"1": {{"secret": "{SECRET}"',
        [],
        {},
        {"signing": 1, "keys": {}},
        {"signing": 2, "keys": {"1": {"secret": SECRET}}},
        {"signing": True, "keys": {"1": {"secret": SECRET}}},
        {"signing": "1", "keys": {"1": {"secret": SECRET}}},
        {"signing": 1, "keys": {"1": {"secret": SECRET[:-2]}}},
        {"signing": 1, "keys": {"1": {"secret": SECRET[:-2] + "zz"}}},
        {"signing": 1, "keys": {"1": {"secret": 5}}},
        {"signing": 1, "keys": {"1": SECRET}},
        {"signing": 256, "keys": {"256": {"secret": SECRET}}},
        {"signing": 1, "keys": {"01": {"secret": SECRET}}},
        {"signing": 1, "keys": {"1": {"secret": SECRET, "note": "x"}}},
        {"signing": 1, "keys": {"1": {"secret": SECRET, "not_after": "soon"}}},
        {"signing": 1, "keys": {"1": {"secret": SECRET, "not_after": "2026-01-01T00:00:00"}}},
        {"signing": 1, "keys": {"1": {"secret": SECRET}}, "other": 1},
        "[" * 70_000,
    ],
)
def test_a_bad_file_is_refused_at_start_and_ignored_later_without_showing_a_secret(path: Path, document: Any) -> None:
    keyring = Keyring.load(path)
    before = keyring.signing

    write(path, document)
    with capture_logs() as logs:
        assert not keyring.reload()
        assert not keyring.reload()  # said once, not every second

    assert keyring.signing == before
    assert [line["event"] for line in logs] == ["keyring_reload_refused"]
    assert SECRET[:8] not in str(logs)
    with pytest.raises(KeyringInvalid) as refusal:
        Keyring.load(path)
    assert SECRET[:8] not in str(refusal.value)
    assert refusal.value.__context__ is None or refusal.value.__suppress_context__


def test_a_file_that_vanishes_keeps_its_keys(path: Path) -> None:
    keyring = Keyring.load(path)
    path.unlink()

    with capture_logs() as logs:
        assert not keyring.reload()

    assert keyring.signing.id == 1
    assert logs[0]["event"] == "keyring_reload_refused"


async def test_the_poll_finds_a_new_key_by_itself(path: Path) -> None:
    keyring = Keyring.load(path, poll_seconds=0.01)
    poll = asyncio.create_task(keyring.run())

    promote_key(path, add_key(path))
    async with asyncio.timeout(5):
        while keyring.signing.id != 2:
            await asyncio.sleep(0.01)
    poll.cancel()


def test_secrets_are_in_no_representation(path: Path) -> None:
    keyring = Keyring.load(path)

    shown = f"{keyring!r} {keyring.signing!r} {keyring}"

    assert keyring.signing.secret.hex() not in shown
    assert repr(keyring.signing.secret)[2:-1] not in shown


def test_a_file_open_to_all_is_warned_of(path: Path) -> None:
    path.chmod(0o644)

    with capture_logs() as logs:
        Keyring.load(path)

    assert [line["event"] for line in logs] == ["keyring_file_open_to_all"]
