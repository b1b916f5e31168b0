"""The app as a process of its own on one port of this machine, with settings of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from core.errors import ReadingRoomError
from core.settings import PROJECT_FOLDER

_PATIENCE_S = 180


@dataclass
class AppProcess:
    """``streamlit run streamlit_app.py`` in a process of its own, on one port for its whole life.

    Parameters
    ----------
    folder : Path
        Its data folder; ``server.log`` in it takes what the process says.
    store_url : str
        Address of its store.
    port : int
        A free one if left out.
    environment : dict
        Variables beside those of this process.
    launcher : tuple of str
        What Python runs in the place of Streamlit.
    python : str
        Which Python.
    """

    folder: Path
    store_url: str
    port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    launcher: tuple[str, ...] = ("-m", "streamlit")
    python: str = sys.executable
    log: Path = field(init=False)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.log = self.folder / "server.log"
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """What Python runs."""
        return [*self.launcher, "run", "streamlit_app.py", f"--server.port={self.port}"]

    def start(self) -> None:
        """Start and wait until it answers.

        Raises
        ------
        ReadingRoomError
            If it stops, or does not answer within three minutes; with its log.
        """
        environment = {
            **os.environ,
            **self.environment,
            "READING_ROOM_DATA_DIR": str(self.folder),
            "READING_ROOM_DATABASE_URL": self.store_url,
            "OMP_NUM_THREADS": "1",
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.python, *self.command()],
                cwd=PROJECT_FOLDER, env=environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise ReadingRoomError(f"the server stopped:\n{self.log.read_text()}")
            try:
                with urlopen(f"{self.url}/_stcore/health", timeout=2):  # noqa: S310  # our own address
                    return
            except (URLError, OSError):
                time.sleep(0.1)
        self.kill()
        raise ReadingRoomError(f"the server did not answer:\n{self.log.read_text()}")

    def send(self, how: int) -> None:
        """Send a signal after which the process goes on or stands still."""
        if self._process is not None:
            self._process.send_signal(how)

    def kill(self, how: int = signal.SIGKILL) -> None:
        """End the process; by default as a power cut would."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=20)
            self._process = None
