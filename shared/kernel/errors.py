"""The errors of the pure core.

TributaryError
├── InvalidValue          a value that breaks a rule of its type (names the field)
│   ├── MoneyInvalid
│   └── ClickIdInvalid
└── (each service's domain adds its own below)
"""


class TributaryError(Exception):
    """Anything the platform refuses on purpose. `code` is stable; the message is for people and echoes no input."""

    code = "tributary_error"


class InvalidValue(TributaryError):
    """A value outside its type's rules.

    field: the caller's name of the value, dotted where nested. code: stable, snake_case.
    """

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.code = code
        self.message = message
