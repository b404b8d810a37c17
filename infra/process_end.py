"""How a process of ours ends."""

import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End this process.

    Temporal's client leaves threads behind that may crash the interpreter on its way out, after all is done. So once it
    was loaded the process ends without that way.
    """
    if "temporalio.bridge" not in sys.modules:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
