"""Record the SHA-256 of every file of every numbered statement, so that each later rendering can be held against it."""

import hashlib

from services.commissions.storage.issued_store import find_unhashed, insert_file, try_lock_files
from services.commissions.storage.statement_store import stream_lines
from services.commissions.usecases.read_particulars import read_issued_document
from services.commissions.usecases.statement_forms.forms import FORMS
from services.commissions.usecases.statement_forms.pdf import StatementTooLong
from shared.kernel.clock import Clock
from shared.runtime.database import Session


async def hash_next_file(session: Session, _: Clock) -> int:
    """Render the oldest file without a hash and record it; 0 when every file has one, or another worker is at it."""
    if not await try_lock_files(session):
        return 0
    found = await find_unhashed(session, list(FORMS))
    if found is None:
        return 0
    issued, name = found
    document = await read_issued_document(session, issued)
    form, digest, size = FORMS[name], hashlib.sha256(), 0
    lines = stream_lines(
        session,
        issued.party,
        currency=issued.currency,
        cut=document.statement.cut,
        is_grouped=form.is_grouped,
    )
    try:
        async for part in form.render(document, lines):
            digest.update(part)
            size += len(part)
    except StatementTooLong:
        await lines.aclose()
        await insert_file(session, issued, name, sha256=None, size=0)
    else:
        await insert_file(session, issued, name, sha256=digest.digest(), size=size)
    return 1
