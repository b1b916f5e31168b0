"""The server and the demo study."""

from __future__ import annotations

import os
import socket
import sys
from typing import Annotated

import typer
from rich.markup import escape

from commands.store import store, store_or_new
from commands.terminal import errors, progress_bar, say
from core.errors import ReadingRoomError
from core.settings import PROJECT_FOLDER, Settings, get_settings
from core.study import StudyState
from db import store_url


def demo(
    workers: Annotated[int, typer.Option(min=1, help="processes that draw phantoms")] = 1,
    seed: Annotated[int, typer.Option(help="seed of phantoms and simulated readers")] = 2023,
) -> None:
    """Prepare the demo study once: phantoms, predictions, simulated readers, accounts. Does nothing where it stands."""
    from actions.prepare_demo import COORDINATOR_LOGIN, READER_LOGIN, demo_exists, prepare_demo

    repository = store_or_new()
    if demo_exists(repository) and repository.study("demo").state is StudyState.UNSEALED:
        say(
            f"The demo stands. Accounts: [bold]{COORDINATOR_LOGIN}[/] and [bold]{READER_LOGIN}[/]. "
            f"A new password: python manage.py person password {COORDINATOR_LOGIN}"
        )
        return
    say("Preparing the demo study from synthetic images (about a minute) ...")
    with progress_bar() as report:
        accounts = prepare_demo(repository, seed=seed, workers=workers, progress=report)
    say("\n[bold]Demo accounts[/] (random passwords, shown only now; research use only, synthetic data):")
    for account in accounts:
        say(f"  {account.role:<12} {account.login:<18} [bold]{account.password}[/]")


def address_to_open(address: str, port: int, settings: Settings) -> str:
    """What a person types to reach a server that listens there; behind TLS the first of the allowed names."""
    names = [name for name in settings.allowed_hosts if "*" not in name and ":" not in name]
    if settings.is_cookie_secure and names:
        return f"https://{names[0]}{settings.base_path}"
    name = "localhost" if address in ("0.0.0.0", "::") else f"[{address}]" if ":" in address else address  # noqa: S104
    return f"http://{name}:{port}{settings.base_path}"


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port")] = 8501,
    address: Annotated[
        str, typer.Option(help="address to listen on; keep to loopback unless TLS is in front")
    ] = "127.0.0.1",
) -> None:
    """Open the app in this terminal; Ctrl+C stops it."""
    is_ipv6 = ":" in address
    with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ReadingRoomError(
                f"Port {port} on {address} cannot be used ({error.strerror}). "
                "Fix: stop the other program or add --port 8502."
            ) from None
    from actions.first_account import first_invitation
    from db.reader_role import NO_READER_ROLE, reader_url_of  # it loads psycopg

    if store_url(get_settings()).get_backend_name() == "postgresql" and reader_url_of(get_settings()) is None:
        errors.print("[bold yellow]Warning[/]: readers' requests run as a role that may read the truth. ", end="")
        errors.print(NO_READER_ROLE, markup=False, highlight=False, soft_wrap=True)
    first = first_invitation(store())  # a missing or damaged store is told here, in words, before the server starts
    hosts, root = get_settings().allowed_hosts, address_to_open(address, port, get_settings())
    say(f"Reading Room: open [bold]{escape(root)}/[/] (Ctrl+C stops it). Research use only.")
    if first is not None:
        say("Nobody has an account yet. The first coordinator chooses a password here (one day, one time):")
        say(f"  {root}/invitation#{first.token}", markup=False)
    if address not in ("127.0.0.1", "localhost", *hosts):
        names = ", ".join(("localhost", "127.0.0.1", *hosts))
        say(f"It answers under the names {names} only; READING_ROOM_ALLOWED_HOSTS adds others.")
    os.chdir(PROJECT_FOLDER)
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)]
    command += ["--server.address", address, "--server.headless", "true"]
    os.execv(sys.executable, command)  # noqa: S606  # the server takes this process's place, so that Ctrl+C reaches it
