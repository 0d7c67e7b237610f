"""The bank's answer: what it booked is read line by line, and nothing is believed whose sums are wrong."""

from datetime import date
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.commissions.clients.bank_camt import read_camt
from services.commissions.clients.camt_tree import BankFileInvalid
from services.commissions.clients.settlement_csv import COLUMNS, read_paypal_report, read_settlement_csv
from services.commissions.domain.payout_batch import end_to_end_id_of
from services.commissions.domain.settlement import MismatchKind, SettlementStatus, match_settlement
from shared.kernel.money import Money
from tests.factories.payout_files import IBAN_DE, camt, camt_balance, camt_detail, camt_entry

ONE, TWO, THREE = (end_to_end_id_of(UUID(int=number)) for number in (1, 2, 3))
VERSIONS = pytest.mark.parametrize("version", ["02", "08"])
KINDS = pytest.mark.parametrize("kind", ["053", "054"])
RETURNED = "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>"


def code_of(content: bytes) -> str:
    with pytest.raises(BankFileInvalid) as refusal:
        read_camt(content)
    return refusal.value.code


@VERSIONS
@KINDS
def test_a_payment_that_left_is_settled(version: str, kind: str) -> None:
    entry = camt_entry("12.34", camt_detail(ONE, "12.34", version=version), version=version)

    answer = read_camt(camt([entry], kind=kind, version=version))

    [line] = answer.lines
    assert (line.end_to_end_id, line.amount, line.status) == (ONE, Money(1234, "EUR"), SettlementStatus.SETTLED)
    assert (line.booked_on, line.bank_reference, line.reason) == (date(2026, 12, 1), f"BANK-{ONE[-6:]}", "")
    assert (answer.message_id, answer.accounts) == ("BANK-2026-12-01", (IBAN_DE,))


@VERSIONS
def test_a_payment_that_came_back_is_returned_with_its_reason(version: str) -> None:
    detail = camt_detail(ONE, "12.34", version=version, more=RETURNED).replace("<CdtDbtInd>DBIT", "<CdtDbtInd>CRDT")
    entry = camt_entry("12.34", detail, version=version, direction="CRDT")

    [line] = read_camt(camt([entry], version=version)).lines

    assert (line.status, line.reason, line.amount) == (SettlementStatus.RETURNED, "AC04", Money(1234, "EUR"))


@VERSIONS
def test_one_booking_of_many_payments_gives_each(version: str) -> None:
    details = "".join(camt_detail(one, amount, version=version) for one, amount in ((ONE, "1"), (TWO, "2.5")))

    answer = read_camt(camt([camt_entry("3.50", details, version=version)], version=version))

    assert [(line.end_to_end_id, line.amount.amount_minor) for line in answer.lines] == [(ONE, 100), (TWO, 250)]


@VERSIONS
def test_payments_that_do_not_add_up_to_their_booking_refuse_the_file(version: str) -> None:
    details = "".join(camt_detail(one, amount, version=version) for one, amount in ((ONE, "1"), (TWO, "2.5")))

    assert code_of(camt([camt_entry("3.51", details, version=version)], version=version)) == "bank_file_sums_differ"


def test_a_booking_without_its_lines_names_the_block() -> None:
    details = "<Btch><PmtInfId>BLOCK1S</PmtInfId><NbOfTxs>12</NbOfTxs></Btch>"

    [booking] = read_camt(camt([camt_entry("99.00", details)])).batches

    assert (booking.payment_information_id, booking.amount, booking.line_count) == ("BLOCK1S", Money(9900, "EUR"), 12)


@VERSIONS
def test_what_is_not_booked_yet_is_only_counted(version: str) -> None:
    entry = camt_entry("12.34", camt_detail(ONE, "12.34", version=version), version=version, status="PDNG")

    answer = read_camt(camt([entry], version=version))

    assert (answer.lines, answer.entries_pending) == ((), 1)


def test_money_that_comes_in_and_is_no_return_is_never_taken_for_one() -> None:
    detail = camt_detail(ONE, "12.34").replace("DBIT", "CRDT")
    entry = camt_entry("12.34", detail, direction="CRDT").replace("RRTN", "ESCT")

    answer = read_camt(camt([entry]))

    assert (answer.lines, answer.unrecognised) == ((), (ONE,))


def test_entries_that_name_nobodys_payment_are_only_counted() -> None:
    answer = read_camt(camt([camt_entry("1.00", camt_detail("NOTPROVIDED", "1.00")), camt_entry("2.00", "")]))

    assert (answer.lines, answer.entries_without_reference) == ((), 2)


def test_a_foreign_payment_says_what_was_instructed() -> None:
    detail = camt_detail(ONE, "92.10", more='<AmtDtls><InstdAmt><Amt Ccy="USD">100.00</Amt></InstdAmt></AmtDtls>')

    answer = read_camt(camt([camt_entry("92.10", detail)]))

    assert answer.lines[0].instructed == Money(10000, "USD")
    assert match_settlement({ONE: Money(10000, "USD")}, answer).lines == answer.lines


@pytest.mark.parametrize(("closing", "is_right"), [("87.66", True), ("87.67", False)])
def test_balances_and_entries_must_agree(closing: str, is_right: bool) -> None:
    before = camt_balance("OPBD", "100.00") + camt_balance("CLBD", closing)
    content = camt([camt_entry("12.34", camt_detail(ONE, "12.34"))], before=before)

    if is_right:
        assert len(read_camt(content).lines) == 1
    else:
        assert code_of(content) == "bank_file_sums_differ"


def test_an_overdrawn_account_is_summed_with_its_sign() -> None:
    before = camt_balance("OPBD", "10.00") + camt_balance("CLBD", "2.34", direction="DBIT")

    assert len(read_camt(camt([camt_entry("12.34", camt_detail(ONE, "12.34"))], before=before)).lines) == 1


@pytest.mark.parametrize(
    ("summary", "is_right"),
    [
        ("<TtlNtries><NbOfNtries>1</NbOfNtries><Sum>12.34</Sum></TtlNtries>", True),
        ("<TtlNtries><NbOfNtries>2</NbOfNtries></TtlNtries>", False),
        ("<TtlDbtNtries><NbOfNtries>1</NbOfNtries><Sum>12.35</Sum></TtlDbtNtries>", False),
        ("<TtlCdtNtries><NbOfNtries>1</NbOfNtries></TtlCdtNtries>", False),
        ("<TtlNtries><Sum>NaN</Sum></TtlNtries>", False),
    ],
)
def test_a_summary_and_entries_must_agree(summary: str, is_right: bool) -> None:
    entries = [camt_entry("12.34", camt_detail(ONE, "12.34"))]
    content = camt(entries, before=f"<TxsSummry>{summary}</TxsSummry>")

    if is_right:
        assert len(read_camt(content).lines) == 1
    else:
        assert code_of(content) == "bank_file_sums_differ"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20))
def test_what_was_paid_is_what_is_read(amounts: list[int]) -> None:
    paid = {end_to_end_id_of(UUID(int=number)): Money(minor, "EUR") for number, minor in enumerate(amounts, 1)}
    entries = [
        camt_entry(money.decimal_text(), camt_detail(reference, money.decimal_text()))
        for reference, money in paid.items()
    ]

    matched = match_settlement(paid, read_camt(camt(entries)))

    assert {line.end_to_end_id: line.amount for line in matched.lines} == paid
    assert (matched.mismatches, matched.foreign) == ((), ())


def test_another_sum_and_a_second_booking_are_mismatches_and_others_payments_are_foreign() -> None:
    entries = [
        camt_entry("12.34", camt_detail(ONE, "12.34")),
        camt_entry("12.34", camt_detail(ONE, "12.34")),
        camt_entry("5.01", camt_detail(TWO, "5.01")),
        camt_entry("7.00", camt_detail(THREE, "7.00")),
    ]

    matched = match_settlement({ONE: Money(1234, "EUR"), TWO: Money(500, "EUR")}, read_camt(camt(entries)))

    assert [line.end_to_end_id for line in matched.lines] == [ONE]
    assert [(one.line.end_to_end_id, one.kind) for one in matched.mismatches] == [
        (ONE, MismatchKind.BOOKED_TWICE),
        (TWO, MismatchKind.AMOUNT_DIFFERS),
    ]
    assert [line.end_to_end_id for line in matched.foreign] == [THREE]


ENTITY = b'<!DOCTYPE Document [<!ENTITY a "12"><!ENTITY f SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "bank_file_malformed"),
        (b"no xml", "bank_file_malformed"),
        (b"<Document>", "bank_file_malformed"),
        (b"<Document/>", "bank_file_unknown"),
        (b"<html><body><p/></body></html>", "bank_file_unknown"),
        (b"<Document><BkToCstmrAcctRpt/></Document>", "bank_file_unknown"),
        (ENTITY + b"<Document><BkToCstmrStmt/></Document>", "bank_file_malformed"),
        (camt([camt_entry("12,34", "")]), "bank_file_malformed"),
        (camt([camt_entry("1.234", "")]), "bank_file_malformed"),
        (camt([camt_entry("-1.00", "")]), "bank_file_malformed"),
        (camt([camt_entry("1.00", "", currency="XXX")]), "bank_file_malformed"),
        (camt([camt_entry("1.00", "", direction="BOTH")]), "bank_file_malformed"),
        (camt([camt_entry("1.00", camt_detail("E" * 36, "1.00"))]), "bank_file_malformed"),
        (camt([camt_entry("1.00", camt_detail(ONE, "1.00")).replace("2026-12-01", "soon")]), "bank_file_malformed"),
    ],
)
def test_what_is_no_answer_of_a_bank_is_refused(content: bytes, code: str) -> None:
    assert code_of(content) == code


def test_an_entity_is_never_opened() -> None:
    inside = camt([camt_entry("&a;", camt_detail(ONE, "12"))])
    content = inside.replace(b"<Document", ENTITY + b"<Document", 1)

    assert code_of(content) == "bank_file_malformed"


def test_a_bomb_and_a_tower_are_refused() -> None:
    lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE D [<!ENTITY l0 "lol">{lol}]><Document>&l9;</Document>'.encode()
    tower = b"<Document><BkToCstmrStmt>" + b"<Stmt>" * 100_000

    assert code_of(bomb) == "bank_file_malformed"
    assert code_of(tower) == "bank_file_malformed"


def test_a_file_above_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.commissions.clients.bank_camt.BYTES_MAX", 100)

    assert code_of(camt([])) == "bank_file_too_large"


def test_more_payments_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.commissions.clients.bank_camt.ENTRIES_MAX", 1)

    assert code_of(camt([camt_entry("1.00", camt_detail(one, "1.00")) for one in (ONE, TWO)])) == "bank_file_too_large"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_and_nothing_else_happens(drawn: st.DataObject) -> None:
    content = bytearray(camt([camt_entry("12.34", camt_detail(ONE, "12.34"))]))
    for _ in range(drawn.draw(st.integers(1, 4))):
        content[drawn.draw(st.integers(0, len(content) - 1))] = drawn.draw(st.integers(0, 255))

    try:
        read_camt(bytes(content))
    except BankFileInvalid:
        return


def own(*rows: str) -> bytes:
    return "\n".join([",".join(COLUMNS), *rows]).encode()


def test_our_own_table_is_read() -> None:
    answer = read_settlement_csv(
        own(f"{ONE},12.34,EUR,settled,2026-12-01,REF,", f"{TWO},5,EUR,returned,2026-12-02,,AC04", ""), message_id="m"
    )

    assert [(line.end_to_end_id, line.amount.amount_minor, line.status.value) for line in answer.lines] == [
        (ONE, 1234, "settled"),
        (TWO, 500, "returned"),
    ]
    assert answer.lines[1].reason == "AC04"


@pytest.mark.parametrize(
    "row",
    [
        "only,three,cells",
        f"{ONE},12.345,EUR,settled,2026-12-01,,",
        f"{ONE},0.00,EUR,settled,2026-12-01,,",
        f"{ONE},-1.00,EUR,settled,2026-12-01,,",
        f"{ONE},1.00,EUR,paid,2026-12-01,,",
        f"{ONE},1.00,EUR,settled,tomorrow,,",
        f"{ONE},1.00,EUR,settled,2026-12-01,{'x' * 65},",
        ",1.00,EUR,settled,2026-12-01,,",
    ],
)
def test_a_row_that_is_wrong_refuses_the_table_by_its_number(row: str) -> None:
    with pytest.raises(BankFileInvalid, match="row 3"):
        read_settlement_csv(own(f"{TWO},1.00,EUR,settled,2026-12-01,,", row), message_id="m")


@pytest.mark.parametrize("content", [b"", b"a,b,c\n", b"\xff\xfe", b'"open'])
def test_what_is_no_table_is_refused(content: bytes) -> None:
    with pytest.raises(BankFileInvalid):
        read_settlement_csv(content, message_id="m")


@pytest.mark.parametrize(
    ("status", "expected"),
    [("SUCCESS", "settled"), ("FAILED", "returned"), ("RETURNED", "returned"), ("UNCLAIMED", None), ("ONHOLD", None)],
)
def test_paypals_report_is_read(status: str, expected: str | None) -> None:
    row = f"{ONE},ITEM,TRANSACTION,,payee@example.com,USD,4.82,0.25,5.07,{status},CODE,why,2026-12-01T10:33:22Z"

    answer = read_paypal_report(row.encode(), message_id="pp_payouts_1_x_out")

    assert [line.status.value for line in answer.lines] == ([] if expected is None else [expected])
    assert answer.entries_pending == (expected is None)
    assert all(line.amount == Money(482, "USD") and line.bank_reference == "TRANSACTION" for line in answer.lines)
