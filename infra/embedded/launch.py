"""Becomes another program, after binding its life to its parent's and dropping root.

Run by path in an isolated interpreter, it replaces itself: the process id stays. Doing this here, not in a function
that runs between fork and exec, keeps it safe when the parent has threads.

Arguments: signal at the parent's death, the parent's id, user id, group id (-1: keep), program and its arguments.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Replace this process by the program named in the arguments."""
    death_signal, parent, user, group = (int(word) for word in sys.argv[1:5])
    program = sys.argv[5:]
    library = ctypes.CDLL(None)  # before root is dropped: the user may not be allowed to read it where Python lives
    if user >= 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    if sys.platform == "linux":
        # Only now: the kernel clears it when the user changes.
        library.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent ended first")
    os.umask(0o077)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
