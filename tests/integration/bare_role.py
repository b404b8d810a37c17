"""A role that does nothing but live, for tests of the supervisor. It imports nothing of ours, so it starts at once.

It is ready at once and waits; files in the data folder change that: `fail-NAME` makes it end at once,
`fail-silently-NAME` without a word, and `deaf-NAME` makes it ignore being told to.
"""

import os
import signal
import sys
from pathlib import Path


def main(name: str) -> None:
    """Serve until told to end."""
    folder = Path(os.environ["LOSTFOUND_DATA_DIR"])
    if (folder / f"fail-{name}").exists():
        sys.exit(f"{name} was told to fail")
    if (folder / f"fail-silently-{name}").exists():
        sys.exit(1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Path(os.environ["LOSTFOUND_READY_FILE"]).touch()
    while True:
        signal.sigwait({signal.SIGTERM})
        if not (folder / f"deaf-{name}").exists():
            return


if __name__ == "__main__":
    main(sys.argv[1])
