"""Whether ports are free, and a sentence about who holds one that is not."""

import json
import socket
from pathlib import Path

import psutil

from infra.embedded.process import Identity
from infra.problem import Problem

ANY_PORT = 0


def require_free(host: str, ports: dict[str, int]) -> None:
    """Raise a Problem that names the first taken port, its holder, and the setting that moves ours."""
    if ports and not is_free(host, ANY_PORT):
        sentence = f"LOSTFOUND_HOST is {host!r}, which is no address of this machine: give one that is, or 127.0.0.1."
        raise Problem("bad-setting", sentence)
    for setting, port in ports.items():
        variable = f"LOSTFOUND_{setting.upper()}"
        if not is_free(host, port):
            raise Problem("port-taken", f"Port {port} on {host} is taken {_remedy(port, variable)}")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        return False
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError:
            return False
    return True


def _remedy(port: int, variable: str) -> str:
    holder = _holder(port)
    if holder is None:
        return f"by another program: stop that program, or set {variable} to a free port."
    instance = _instance(holder)
    if instance is not None:
        stop = f"LOSTFOUND_DATA_DIR={instance} lostfound down"
        return f"by the lostfound that runs on {instance}: stop it with `{stop}`, or set {variable} to a free port."
    return f"by {holder.name()} (process {holder.pid}): stop it, or set {variable} to a free port."


def _holder(port: int) -> psutil.Process | None:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr or not connection.pid:
                continue
            if connection.laddr[1] == port:
                return psutil.Process(connection.pid)
    except psutil.Error:
        return None
    return None


def _instance(holder: psutil.Process) -> Path | None:
    """The data folder of the instance that this process belongs to: one whose record of processes names it."""
    try:
        words = holder.cmdline()
    except psutil.Error:
        return None
    for folder in {parent for word in words if word.startswith("/") for parent in Path(word).parents}:
        try:
            services = json.loads((folder / "run" / "state.json").read_text())["services"].values()
        except (OSError, ValueError, KeyError):
            continue
        known = [Identity(service["pid"], service["create_time"]) for service in services]
        if any(identity.pid == holder.pid and identity.alive for identity in known):
            return folder
    return None
