"""A role as a process: `python -m infra.roles worker`."""

import sys

from infra.ending import leave
from infra.roles import serve

if __name__ == "__main__":
    serve(sys.argv[1])
    leave(0)
