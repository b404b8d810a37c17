"""A role as a process: `python -m infra.roles worker`."""

import sys

from infra.problem import Problem
from infra.process_end import leave
from infra.roles import serve

if __name__ == "__main__":
    try:
        serve(sys.argv[1])
    except Problem as problem:
        print(problem.sentence, file=sys.stderr)
        leave(problem.exit_code)
    leave(0)
