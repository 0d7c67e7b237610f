"""What the person at the terminal can put right."""

import errno


class PlainProblem(Exception):
    """Says what is wrong and what to do, in words; shown without a traceback, exit status 1."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n{remedy}".strip())
        self.what = what
        self.remedy = remedy


def explain_os_error(error: OSError) -> PlainProblem:
    """What the operating system refused, in words: a full disk, a read-only folder, a closed one."""
    place = f" at {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PlainProblem(f"The disk is full{place}.", "Make room, or set TRIBUTARY_HOME to a folder with more.")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return PlainProblem(
            f"Not allowed to write{place}: {error.strerror}.", "Set TRIBUTARY_HOME to a folder that can be written."
        )
    return PlainProblem(f"The operating system refused{place}: {error.strerror or type(error).__name__}.")
