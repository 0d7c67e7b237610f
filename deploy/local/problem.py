"""What the person at the terminal can put right."""


class PlainProblem(Exception):
    """Says what is wrong and what to do, in words; shown without a traceback, exit status 1."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n{remedy}".strip())
        self.what = what
        self.remedy = remedy
