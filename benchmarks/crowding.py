"""Whether one account or a flood of sign-ins slows the readers: ``python -m benchmarks.crowding [--turns N]``.

Five readers who speak the protocol answer with half a second between, alone and beside
- one other account that opens 40 websockets and asks for a run of the script on each as soon as the last one ended;
- 50 clients that sign in with a wrong password as fast as they are answered, from one address, some logins known;
- the same with right passwords of 20 accounts;
- 50 clients that send a form which was not fetched from here, 50 that ask for the page again and again, and 50 that ask
  whether the server is ready;
- 50 clients of one reader's account that ask again and again whether the study is open.
Times are from the trigger to the receipt, in milliseconds. Quiet and each crowd take turns, so that whatever else the
machine does meets all of them alike; the ratio is to the quiet server's median and p95 of all turns.
The crowd runs in a process of its own, so that it does not slow the clients that are measured.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import TypeAlias

import numpy as np
import requests
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.exceptions import WebSocketException

from benchmarks.reading_screen import PASSWORD, STUDY, Reader, running_app
from pages.door.cookies import SESSION_COOKIE

#: Numbers that a crowd sends home.
Counts: TypeAlias = SimpleQueue  # type: ignore[type-arg]

N_SOCKETS, N_CLIENTS, N_READERS, N_ANSWERS = 40, 50, 5, 10


def open_many(url: str, is_over: Event, count: Counts) -> None:
    """One account, 40 websockets, runs without a pause."""
    cookie = Reader(url, "reader-60").cookie()

    async def one() -> int:
        reader, n = Reader(url, "reader-60"), 0
        try:
            await reader.open(cookie)
            while not is_over.is_set():
                message = BackMsg()
                message.rerun_script.page_name = "read"
                await reader.socket.send(message.SerializeToString())  # type: ignore[union-attr]
                await reader.run()
                n += 1
        except (WebSocketException, OSError):
            return n
        return n

    async def all_of_them() -> None:
        count.put(sum(await asyncio.gather(*(one() for _ in range(N_SOCKETS)))))

    asyncio.run(all_of_them())


def _again_and_again(ask: Callable[[int], Callable[[], object]], is_over: Event, count: Counts) -> None:
    """So many clients, each of which asks as soon as it was answered."""

    def one(number: int) -> int:
        once, n = ask(number), 0
        while not is_over.is_set():
            once()
            n += 1
        return n

    with ThreadPoolExecutor(N_CLIENTS) as pool:
        count.put(sum(pool.map(one, range(N_CLIENTS))))


def _posting(url: str, login: str, password: str, *, has_token: bool = True) -> Callable[[], object]:
    """One client that signs in."""
    session = requests.Session()
    form = {"login": login, "password": password, "next": "/"}
    if has_token:
        form["form_token"] = session.get(f"{url}/sign-in", timeout=60).text.split('name="form_token" value="')[1][:64]
    kept = session.cookies.copy()
    return lambda: requests.post(
        f"{url}/sign-in", data=form, headers={"Origin": url}, cookies=kept, allow_redirects=False, timeout=120
    )


def sign_in_wrongly(url: str, is_over: Event, count: Counts) -> None:
    """50 clients with a wrong password, every second one for a login that exists."""

    def login(number: int) -> str:
        return f"reader-{45 + number % 14}" if number % 2 else f"nobody-{number}"

    _again_and_again(lambda number: _posting(url, login(number), "wrong"), is_over, count)


def sign_in_rightly(url: str, is_over: Event, count: Counts) -> None:
    """50 clients with the right passwords of 20 accounts."""
    _again_and_again(lambda number: _posting(url, f"reader-{25 + number % 20}", PASSWORD), is_over, count)


def send_no_form_of_ours(url: str, is_over: Event, count: Counts) -> None:
    """50 clients without the token of a form."""
    _again_and_again(lambda _: _posting(url, "reader-30", "wrong", has_token=False), is_over, count)


def look_at_the_page(url: str, is_over: Event, count: Counts) -> None:
    """50 clients that load the sign-in page."""
    _again_and_again(lambda _: lambda: requests.get(f"{url}/sign-in", timeout=120), is_over, count)


def ask_whether_it_is_ready(url: str, is_over: Event, count: Counts) -> None:
    """50 clients in the place of a load balancer."""
    _again_and_again(lambda _: lambda: requests.get(f"{url}/ready", timeout=120), is_over, count)


def ask_as_a_reader(url: str, is_over: Event, count: Counts) -> None:
    """50 clients with the sign-in of one reader, as a script at his or her desk could be."""
    headers = {"Cookie": f"{SESSION_COOKIE}={Reader(url, 'reader-59').cookie()}"}
    address = f"{url}/reading/pulse/{STUDY}"
    _again_and_again(lambda _: lambda: requests.get(address, headers=headers, timeout=120), is_over, count)


Crowd = Callable[[str, Event, Counts], None]

CROWDS: dict[str, Crowd | None] = {
    "quiet": None,
    "40 sockets of one account": open_many,
    "50 clients, right passwords": sign_in_rightly,
    "50 clients, wrong passwords": sign_in_wrongly,
    "50 clients, no form of ours": send_no_form_of_ours,
    "50 clients, the page alone": look_at_the_page,
    "50 clients, /ready": ask_whether_it_is_ready,
    "50 clients of one reader": ask_as_a_reader,
}


async def measure(url: str, readers: list[Reader], crowd: Crowd | None) -> tuple[list[float], int]:
    """Times of the readers beside a crowd, and how often the crowd was answered."""
    is_over, count = multiprocessing.Event(), multiprocessing.SimpleQueue()
    process = multiprocessing.Process(target=crowd, args=(url, is_over, count))
    for reader in readers:
        reader.times.clear()
    if crowd is not None:
        process.start()
        await asyncio.sleep(5)
    await asyncio.gather(*(reader.read(N_ANSWERS, 0.5) for reader in readers))
    times = [ms for reader in readers for ms in reader.times]
    if crowd is None:
        return times, 0
    is_over.set()
    n = await asyncio.to_thread(count.get)
    await asyncio.to_thread(process.join, 60)
    return times, n


async def take_turns(url: str, n_turns: int, names: list[str]) -> None:
    """Print one line a crowd."""
    readers = [Reader(url, f"reader-{number}") for number in range(1, 1 + N_READERS)]
    await asyncio.gather(*(reader.open() for reader in readers))
    for reader in readers:
        await reader.answer()
    times: dict[str, list[float]] = {name: [] for name in names}
    answered = dict.fromkeys(names, 0)
    for _ in range(n_turns):
        for name in names:
            found, n = await measure(url, readers, CROWDS[name])
            times[name] += found
            answered[name] += n
    for reader in readers:
        assert reader.socket is not None
        await reader.socket.close()
    quiet = times[names[0]]
    for name in names:
        p50, p95, p99 = np.percentile(times[name], (50, 95, 99))
        ratios = p50 / np.median(quiet), p95 / np.percentile(quiet, 95)
        print(
            f"{name:<30} {len(times[name])} saves, p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f}; "
            f"x{ratios[0]:.1f} at the median, x{ratios[1]:.1f} at p95; the crowd was answered {answered[name]} times",
            flush=True,
        )


def main() -> None:
    """Quiet and crowds in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--only", help="crowds whose name holds this, beside the quiet server", default="")
    given = parser.parse_args()
    names = ["quiet", *(name for name in CROWDS if name != "quiet" and given.only in name)]
    with running_app(N_ANSWERS * given.turns * len(names) + 5) as app:
        asyncio.run(take_turns(app.url, given.turns, names))


if __name__ == "__main__":
    main()
