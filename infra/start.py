"""The command `lostfound`, from its first instant: whoever presses Ctrl-C while it is loaded reads no traceback."""

import os
import sys
from typing import NoReturn

INTERRUPTED = 130
WRONGLY_TYPED = 2


def main() -> NoReturn:
    """Run the command."""
    try:
        os.umask(0o077)  # keys, logs and evidence are for who runs this alone
        _only_utf8(sys.argv)
        from infra.main import main as run  # a second of loading, which is why this module loads nothing

        run()
    except KeyboardInterrupt:
        pass
    os._exit(INTERRUPTED)  # nothing was started yet, and what was half loaded must not be ended in order


def _only_utf8(words: list[str]) -> None:
    for number, word in enumerate(words):
        try:
            word.encode()
        except UnicodeEncodeError:
            print(f"Argument {number}, {word!a}, is not UTF-8: type it anew.", file=sys.stderr)
            sys.exit(WRONGLY_TYPED)


if __name__ == "__main__":
    main()
