"""Become another program, tied to the parent's life.

Usage: leash.py PARENT_PID DEATH_SIGNAL USER_ID GROUP_ID -- program argument…

Run as a script in front of every child of the supervisor. It gives up root when a user is named (`-` keeps the
current one), asks the kernel to send DEATH_SIGNAL when the parent dies, however it dies, and then becomes the program.
The order matters: changing the user clears the wish. Standard library only, so that it starts in milliseconds; and it
is a program of its own because code between fork and exec in a threaded parent may deadlock.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
EXIT_PARENT_GONE = 125


def _drop_privileges(user_id: str, group_id: str) -> None:
    if user_id == "-":
        return
    os.setgroups([])
    os.setgid(int(group_id))
    os.setuid(int(user_id))


def _tie_to_parent(parent_pid: int, death_signal: int) -> None:
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        sys.exit(EXIT_PARENT_GONE)


def main(arguments: list[str]) -> None:
    """Replace this process by the program after `--`; never returns."""
    parent_pid, death_signal, user_id, group_id, separator, *program = arguments
    if separator != "--":
        raise SystemExit("usage: leash.py PARENT_PID DEATH_SIGNAL USER_ID GROUP_ID -- program argument…")
    _drop_privileges(user_id, group_id)
    _tie_to_parent(int(parent_pid), int(death_signal))
    os.execvp(program[0], program)  # noqa: S606 - becoming the program is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
