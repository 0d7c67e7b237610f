"""The forms by name: what each is, and how its lines come."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from services.commissions.domain.statement import StatementLine
from services.commissions.domain.statement_document import StatementDocument
from services.commissions.usecases.statement_forms.pdf import statement_pdf
from services.commissions.usecases.statement_forms.plain import CSV_CONTENT_TYPE, statement_csv, statement_json
from services.commissions.usecases.statement_forms.xlsx import statement_xlsx

FormName = Literal["json", "csv", "xlsx", "pdf"]
Lines = AsyncGenerator[StatementLine]
XLSX_CONTENT_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class Form:
    """content_type: of the answer. render: the parts of the file. is_grouped: its lines come group by group.

    is_drawn: nothing of it is there before all of it is; the first part is waited for, so that a refusal is a refusal.
    """

    content_type: str
    render: Callable[[StatementDocument, Lines], AsyncIterator[bytes]]
    is_grouped: bool = False
    is_drawn: bool = False


FORMS: Final = MappingProxyType[FormName, Form](
    {
        "json": Form("application/json", lambda document, lines: statement_json(document, lines)),
        "csv": Form(CSV_CONTENT_TYPE, lambda document, lines: statement_csv(document.statement, lines)),
        "xlsx": Form(XLSX_CONTENT_TYPE, statement_xlsx, is_drawn=True),
        "pdf": Form("application/pdf", statement_pdf, is_grouped=True, is_drawn=True),
    }
)
