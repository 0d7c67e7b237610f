"""What the control plane refuses.

TributaryError
├── CatalogueConflict    against what stands: a state that cannot be left so, a name in use
└── NotInCatalogue       no such thing, or not the caller's: the two look the same
(values that break a rule of their own are InvalidValue, of the kernel)
"""

from shared.kernel.errors import TributaryError


class CatalogueConflict(TributaryError):
    """A good request at the wrong time. code: stable, snake_case. message: for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class NotInCatalogue(TributaryError):
    """Nothing there that the caller may see. thing: `offer`, `merchant`, `enrolment` …"""

    def __init__(self, thing: str) -> None:
        super().__init__(f"no such {thing}")
        self.thing = thing
        self.code = f"{thing}_not_found"
