"""Run a program where it has no network but a loopback of its own, with an empty home, and tell what it tried.

The kernel counts for the namespace, so it does not matter which library or child process tries: a connection to another
machine is a packet without a route, a look-up of a name is a UDP datagram, also where the name server is on loopback.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_UNSHARE = ["unshare", "--map-root-user", "--net", "--mount"]


@dataclass(frozen=True)
class Traces:
    """What one program left.

    Parameters
    ----------
    status : int
        Its exit status.
    output : str
        Its standard output and standard error.
    unroutable : int
        Packets and connections to another machine.
    datagrams : int
        UDP datagrams: look-ups.
    connections : int
        TCP connections that were opened, to loopback or elsewhere.
    files : list of str
        Files below the home, the folder for temporary files and the working folder.
    """

    status: int
    output: str
    unroutable: int
    datagrams: int
    connections: int
    files: list[str]


def why_not_isolated() -> str | None:
    """Why no program can be run so on this machine; None if it can."""
    if shutil.which("unshare") is None:
        return "no network namespace: the program unshare is missing"
    done = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    return f"no network namespace: {done.stderr.strip()}" if done.returncode else None


def run_isolated(command: list[str], folder: Path, *, timeout_s: float = 240, **environment: str) -> Traces:
    """Run a command from an empty working folder; its data folder is ``folder / "data"``."""
    homes = [folder / name for name in ("home", "tmp", "work")]
    for home in homes:
        home.mkdir(parents=True)
    told = folder / "counters.json"
    done = subprocess.run(
        [*_UNSHARE, sys.executable, __file__, str(told), *command],
        cwd=folder / "work",
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "READING_ROOM_THREADS": "1",
            "READING_ROOM_DATA_DIR": str(folder / "data"),
            **environment,
        },
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip
    files = [str(path.relative_to(folder)) for home in homes for path in home.rglob("*") if not path.is_dir()]
    return Traces(done.returncode, done.stdout, **json.loads(told.read_text()), files=sorted(files))


def _counters() -> dict[str, int]:
    """The kernel's counters of this network namespace."""
    counted: dict[str, int] = {}
    lines = Path("/proc/net/snmp").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        kind = names.split(":")[0]
        counted |= {
            f"{kind}.{name}": int(value) for name, value in zip(names.split()[1:], values.split()[1:], strict=True)
        }
    for line in Path("/proc/net/snmp6").read_text().splitlines():
        name, value = line.split()
        counted[name] = int(value)
    return {
        "unroutable": counted["Ip.OutNoRoutes"] + counted["Ip6OutNoRoutes"],
        "datagrams": counted["Udp.OutDatagrams"] + counted["Udp6OutDatagrams"],
        "connections": counted["Tcp.ActiveOpens"],
    }


def _bring_loopback_up() -> None:
    """As ``ip link set lo up``, which not every machine has."""
    get_flags, set_flags, is_up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = fcntl.ioctl(control, get_flags, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack("16sH22x", request)[1]
        fcntl.ioctl(control, set_flags, struct.pack("16sH22x", b"lo", flags | is_up))


def _main(told: Path, command: list[str]) -> int:
    """Inside the namespace: hide the sockets of the machine's name services, run the command, note the counters."""
    _bring_loopback_up()
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=False)
    status = subprocess.run(command, check=False).returncode
    told.write_text(json.dumps(_counters()))
    return status


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), sys.argv[2:]))
