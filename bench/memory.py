"""How much memory everything takes together."""

from collections.abc import Iterable

import psutil

from bench.result import Bar, Result


def measure(pids: Iterable[int]) -> list[Result]:
    """These processes and all that descend from them. Shared memory counts once (PSS, where there is one)."""
    processes = {
        process.pid: process
        for parent in map(psutil.Process, pids)
        for process in (parent, *parent.children(recursive=True))
    }
    total = sum(_bytes(process) for process in processes.values())
    return [Result("memory_gib", total / 2**30, "GiB", bar=Bar(at_most=1.5))]


def _bytes(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0
    return int(getattr(memory, "pss", memory.uss))
