"""Payout files: valid by the message's schema, their sums the ledger's, the same bytes on every machine."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from services.commissions.clients.pain001 import PayoutFileInvalid, check_schema, write_pain001
from services.commissions.clients.payout_rail import RAILS, RailName
from services.commissions.clients.paypal_file import parse_paypal_receiver
from services.commissions.domain.payout_batch import (
    ClearingMember,
    PayoutBatch,
    PayoutInstruction,
    end_to_end_id_of,
    line_id_of,
    run_id_of,
)
from shared.kernel.errors import InvalidValue
from tests.factories.payout_files import IBAN_DE, IBAN_FR, IBAN_SA, RUN, batch, instruction

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "services/commissions/clients/schemas/pain.001.001.09.xsd"
NAMES = st.text(st.characters(codec="latin-1", categories=("L", "N", "P", "Zs")), min_size=1, max_size=90)
AMOUNTS = st.integers(1, 99_999_999_999)


def read(content: bytes) -> Any:
    """The document, checked against the schema by a parser of the test's own."""
    root = etree.fromstring(content)
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(root)
    return root


def texts(root: Any, name: str) -> list[str]:
    return [element.text for element in root.iter(f"{{*}}{name}")]


def blocks(root: Any) -> Iterator[tuple[str, Decimal, int, list[Decimal]]]:
    for block in root.iter("{*}PmtInf"):
        amounts = [Decimal(text) for text in texts(block, "InstdAmt")]
        yield texts(block, "PmtInfId")[0], Decimal(texts(block, "CtrlSum")[0]), int(texts(block, "NbOfTxs")[0]), amounts


def refused(given_batch: PayoutBatch, rail: RailName = RailName.BANK) -> tuple[str, str]:
    with pytest.raises(InvalidValue) as refusal:
        RAILS[rail].write(given_batch)
    return refusal.value.field, refusal.value.code


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(AMOUNTS, NAMES, st.sampled_from([IBAN_DE, IBAN_FR, IBAN_SA])), min_size=1, max_size=8))
def test_every_file_is_valid_and_its_sums_are_those_of_its_lines(payees: list[tuple[int, str, str]]) -> None:
    lines = [
        instruction(number, minor=minor, creditor_name=f"A {name}", iban=iban, bic="COBADEFF")
        for number, (minor, name, iban) in enumerate(payees)
    ]

    root = read(write_pain001(batch(*lines)))

    total = Decimal(sum(minor for minor, _, _ in payees)) / 100
    assert Decimal(texts(root, "CtrlSum")[0]) == total
    assert int(texts(root, "NbOfTxs")[0]) == len(payees)
    assert sum(stated for _, stated, _, _ in blocks(root)) == total
    assert all(stated == sum(amounts) and count == len(amounts) for _, stated, count, amounts in blocks(root))
    assert sorted(texts(root, "EndToEndId")) == sorted(line.end_to_end_id for line in lines)


def test_euro_within_sepa_has_its_service_level_and_needs_no_bic() -> None:
    root = read(write_pain001(batch(instruction(creditor_name="N" * 100))))

    assert texts(root, "Cd") == ["SEPA"]
    assert texts(root, "ChrgBr") == ["SLEV"]
    assert texts(root, "IBAN") == [IBAN_DE, IBAN_FR]
    assert texts(root, "BICFI") == ["COBADEFFXXX"]
    assert texts(root, "CreDtTm") == ["2026-11-30T12:00:00Z"]
    assert texts(root, "Dt") == ["2026-12-01"]
    assert texts(root, "Nm")[-1] == "N" * 70
    assert texts(root, "TwnNm") == ["Koln"]


@pytest.mark.parametrize(("currency", "minor", "written"), [("JPY", 5000, "5000"), ("KWD", 1234, "1.234")])
def test_another_currency_has_its_own_decimals_and_no_service_level(currency: str, minor: int, written: str) -> None:
    line = instruction(minor=minor, currency=currency, account="0012345678", bic="BOTKJPJT", creditor_name="N" * 100)

    root = read(write_pain001(batch(line, currency=currency)))

    amount = next(root.iter("{*}InstdAmt"))
    assert (amount.text, amount.get("Ccy")) == (written, currency)
    assert texts(root, "CtrlSum") == [written, written]
    assert texts(root, "ChrgBr") == ["SHAR"]
    assert texts(root, "SvcLvl") == []
    assert texts(root, "Nm")[-1] == "N" * 100


def test_a_clearing_code_stands_for_a_bic() -> None:
    line = instruction(
        currency="USD", account="12345678", clearing=ClearingMember(system="USABA", member_id="021000021")
    )

    root = read(write_pain001(batch(line, currency="USD")))

    assert texts(root, "MmbId") == ["021000021"]


def test_euro_to_an_account_outside_sepa_goes_in_a_block_of_its_own() -> None:
    root = read(write_pain001(batch(instruction(1), instruction(2, iban=IBAN_SA, bic="NCBKSAJE", minor=500))))

    assert [(name[-1], stated) for name, stated, _, _ in blocks(root)] == [("S", Decimal("12.34")), ("X", Decimal(5))]
    assert texts(root, "ChrgBr") == ["SLEV", "SHAR"]


def test_what_is_no_payment_is_refused_by_the_line_and_the_field() -> None:
    good = instruction(0)
    assert refused(batch(good, instruction(1, iban="DE89370400440532013001"))) == (
        "lines.1.iban",
        "iban_check_digits_wrong",
    )
    assert refused(batch(good, instruction(1, iban=IBAN_SA))) == ("lines.1.bic", "bic_required")
    assert refused(batch(good, instruction(1, bic="NOBIC"))) == ("lines.1.bic", "bic_length_wrong")
    assert refused(batch(good, instruction(1, minor=0))) == ("lines.1.amount", "payout_amount_invalid")
    assert refused(batch(good, instruction(1, minor=-5))) == ("lines.1.amount", "payout_amount_invalid")
    assert refused(batch(good, instruction(1, minor=10**11))) == ("lines.1.amount", "payout_amount_invalid")
    assert refused(batch(good, instruction(1, currency="USD"))) == ("lines.1.amount", "currency_mismatch")
    assert refused(batch(good, instruction(0))) == ("lines.1.end_to_end_id", "end_to_end_id_repeated")
    assert refused(batch(instruction(0, end_to_end_id="a" * 36))) == ("lines.0.end_to_end_id", "reference_malformed")
    assert refused(batch(instruction(0, paypal_receiver="a@example.com"))) == ("lines.0.iban", "account_required")
    assert refused(batch(instruction(0, creditor_name="東京"))) == ("lines.0.creditor_name", "text_not_latin")
    assert refused(replace(batch(), lines=())) == ("lines", "payout_batch_empty")
    assert refused(batch(part=100)) == ("part", "payout_part_invalid")


def test_a_batch_above_the_limit_is_refused_before_anything_is_written() -> None:
    too_many = (instruction(),) * (RAILS[RailName.BANK].lines_max + 1)

    assert refused(replace(batch(), lines=too_many)) == ("lines", "payout_batch_too_large")


def test_no_refusal_and_no_repr_tells_whom_it_pays() -> None:
    line = instruction(iban="DE89370400440532013001", creditor_name="Erika Mustermann", town="Bonn")
    payout_file = RAILS[RailName.BANK].write(batch())

    with pytest.raises(InvalidValue) as refusal:
        write_pain001(batch(line))

    for told in (str(refusal.value), repr(batch(line)), repr(payout_file)):
        assert "8937040044" not in told
        assert "Mustermann" not in told
        assert "Bonn" not in told


def test_a_document_that_the_schema_refuses_is_not_handed_out_and_not_repeated() -> None:
    root = etree.fromstring(write_pain001(batch()))
    next(root.iter("{*}BICFI")).text = "secretvalue"

    with pytest.raises(PayoutFileInvalid) as refusal:
        check_schema(root)

    assert "secretvalue" not in str(refusal.value)


def test_ids_come_from_the_run_and_lead_back_to_it() -> None:
    root = read(write_pain001(batch()))

    message_id = texts(root, "MsgId")[0]
    assert len(message_id) <= 35
    assert run_id_of(message_id) == RUN
    assert run_id_of(texts(root, "PmtInfId")[0]) == RUN
    assert batch(part=2).message_id != message_id != batch(currency="USD").message_id


@given(st.uuids())
def test_a_line_is_found_again_by_what_the_bank_gives_back(line_id: UUID) -> None:
    end_to_end_id = end_to_end_id_of(line_id)

    assert len(end_to_end_id) <= 30
    assert line_id_of(end_to_end_id) == line_id
    assert line_id_of(end_to_end_id.lower()) is None
    assert line_id_of(end_to_end_id + "A") is None


def a_batch(rail: RailName) -> PayoutBatch:
    if rail is RailName.PAYPAL:
        return batch(*(instruction(n, minor=n + 1, paypal_receiver=f"payee{n}@example.com") for n in range(5)))
    odd = instruction(6, creditor_name="Æsir Ωmega Ivan", iban=IBAN_SA, bic="NCBKSAJE")
    return batch(*(instruction(n, minor=n + 1, creditor_name=f"Weiß ({n})") for n in range(5)), odd)


@pytest.mark.parametrize("rail", list(RailName))
def test_another_zone_of_the_same_instant_is_the_same_file(rail: RailName) -> None:
    given_batch = a_batch(rail)
    elsewhere = given_batch.created_at.astimezone(timezone(timedelta(hours=-9, minutes=-30)))

    assert RAILS[rail].write(replace(given_batch, created_at=elsewhere)).sha256 == RAILS[rail].write(given_batch).sha256


def test_every_machine_writes_the_same_bytes() -> None:
    here = {rail.value: hashlib.sha256(RAILS[rail].write(a_batch(rail)).content).hexdigest() for rail in RailName}
    program = (
        "import hashlib, json\n"
        "from services.commissions.clients.payout_rail import RAILS, RailName\n"
        "from tests.unit.commissions.test_payout_files import a_batch\n"
        "print(json.dumps({r.value: hashlib.sha256(RAILS[r].write(a_batch(r)).content).hexdigest() for r in RailName}))"
    )

    for zone, locale, seed in (("Pacific/Kiritimati", "de_DE.UTF-8", "1"), ("America/St_Johns", "C", "4242")):
        told = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(told.stdout) == here


def test_a_time_without_a_zone_is_a_defect_of_the_caller() -> None:
    with pytest.raises(ValueError, match="aware"):
        write_pain001(batch(created_at=datetime(2026, 11, 30, 12)))  # noqa: DTZ001


def test_paypals_file_begins_with_the_summary_and_bears_the_run_in_its_name() -> None:
    lines = [instruction(n, minor=1050, paypal_receiver=f"payee{n}@example.com") for n in range(3)]

    payout_file = RAILS[RailName.PAYPAL].write(batch(*lines, currency="EUR"))

    rows = list(csv.reader(io.StringIO(payout_file.content.decode())))
    assert rows[0][:4] == ["PAYOUT_SUMMARY", "31.50", "EUR", "3"]
    assert [row[:5] for row in rows[1:]] == [
        ["PAYOUT", line.paypal_receiver, "10.50", "EUR", line.end_to_end_id] for line in lines
    ]
    assert payout_file.name == f"pp_payouts_{int(batch().created_at.timestamp())}_{batch().message_id}.csv"


def test_paypal_takes_no_decimals_of_some_currencies() -> None:
    def forint(minor: int) -> PayoutInstruction:
        return instruction(minor=minor, currency="HUF", paypal_receiver="payee@example.com")

    content = RAILS[RailName.PAYPAL].write(batch(forint(500_00), currency="HUF")).content

    assert b"PAYOUT,payee@example.com,500,HUF," in content
    assert refused(batch(forint(500_50), currency="HUF"), RailName.PAYPAL)[1] == "amount_too_precise"


def test_paypal_pays_no_bank_account_no_other_currency_and_no_formula() -> None:
    assert refused(batch(), RailName.PAYPAL) == ("lines.0.paypal_receiver", "account_required")
    kuwait = instruction(currency="KWD", paypal_receiver="payee@example.com")
    assert refused(batch(kuwait, currency="KWD"), RailName.PAYPAL) == ("currency", "paypal_currency_unknown")
    for receiver in (
        "=cmd@example.com",
        "+1@example.com",
        "@example.com",
        "nobody",
        "a@b.c\n",
        "a" * 120 + "@b.example",
    ):
        with pytest.raises(InvalidValue):
            parse_paypal_receiver(receiver)


def told_by(line: PayoutInstruction) -> dict[str, str]:
    content = RAILS[RailName.CSV].write(batch(line)).content.decode()
    return next(csv.DictReader(io.StringIO(content)))


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40))
def test_no_text_in_a_table_is_a_formula(text: str) -> None:
    row = told_by(instruction(creditor_name=text, remittance_text=text))

    assert row["creditor_name"].removeprefix("'") == text.removeprefix("'")
    assert not row["creditor_name"].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert not row["remittance_text"].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_the_table_keeps_names_as_their_owners_spell_them() -> None:
    row = told_by(instruction(creditor_name="東京商事", iban="DE89 3704 0044 0532 0130 00"))

    assert (row["creditor_name"], row["iban"], row["amount"]) == ("東京商事", IBAN_DE, "12.34")
