"""Whether one account or a flood of sign-ins slows the readers: ``python -m benchmarks.crowding``.

Five readers who speak the protocol answer with half a second between, alone and then beside
- one other account that opens 40 websockets and asks for a run of the script on each as soon as the last one ended;
- 50 clients that sign in with a wrong password as fast as they are answered, each from one address, some logins known;
- the same with right passwords of 20 accounts.
Times are from the trigger to the receipt, in milliseconds; the ratio is to the quiet server's median and p95.
The crowd runs in a process of its own, so that it does not slow the clients that are measured.
"""

from __future__ import annotations

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

from benchmarks.reading_screen import PASSWORD, Reader, running_app

#: Numbers that a crowd sends home.
Counts: TypeAlias = SimpleQueue  # type: ignore[type-arg]

N_SOCKETS, N_CLIENTS, N_READERS, N_ANSWERS = 40, 50, 5, 20


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
            return -1 if n == 0 else n
        return n

    async def all_of_them() -> None:
        done = await asyncio.gather(*(one() for _ in range(N_SOCKETS)))
        count.put(sum(n >= 0 for n in done))
        count.put(sum(n for n in done if n > 0))

    asyncio.run(all_of_them())


def sign_in_much(url: str, is_over: Event, count: Counts, *, is_right: bool = False) -> None:
    """50 clients that sign in again and again."""

    def one(number: int) -> int:
        login = f"reader-{25 + number % 20}" if is_right or number % 2 else f"nobody-{number}"
        page = requests.get(f"{url}/sign-in", timeout=60)
        token = page.text.split('name="form_token" value="')[1][:64]
        form = {"login": login, "password": PASSWORD if is_right else "wrong", "form_token": token, "next": "/"}
        n = 0
        while not is_over.is_set():
            requests.post(
                f"{url}/sign-in",
                data=form,
                headers={"Origin": url},
                cookies=page.cookies,
                allow_redirects=False,
                timeout=120,
            )
            n += 1
        return n

    with ThreadPoolExecutor(N_CLIENTS) as pool:
        done = list(pool.map(one, range(N_CLIENTS)))
    count.put(len(done))
    count.put(sum(done))


def sign_in_rightly(url: str, is_over: Event, count: Counts) -> None:
    """The same with the right password."""
    sign_in_much(url, is_over, count, is_right=True)


Crowd = Callable[[str, Event, Counts], None]

CROWDS: dict[str, Crowd | None] = {
    "quiet": None,
    "40 sockets of one account": open_many,
    "50 clients, right passwords": sign_in_rightly,
    "50 clients, wrong passwords": sign_in_much,  # the last: afterwards this address waits before a new sign-in
}


async def read_beside(url: str, first: int, begin: Callable[[], None]) -> list[float]:
    """Times of readers who are at work when the crowd comes."""
    readers = [Reader(url, f"reader-{number}") for number in range(first, first + N_READERS)]
    await asyncio.gather(*(reader.open() for reader in readers))
    for reader in readers:
        await reader.answer()
        reader.times.clear()
    begin()
    await asyncio.sleep(5)
    await asyncio.gather(*(reader.read(N_ANSWERS, 0.5) for reader in readers))
    return [ms for reader in readers for ms in reader.times]


def measure(url: str, first: int, crowd: Crowd | None) -> tuple[list[float], str]:
    """Times of the readers beside a crowd, and what the crowd got."""
    is_over, count = multiprocessing.Event(), multiprocessing.SimpleQueue()
    process = multiprocessing.Process(target=crowd, args=(url, is_over, count))
    times = asyncio.run(read_beside(url, first, process.start if crowd is not None else lambda: None))
    if crowd is None:
        return times, ""
    is_over.set()
    got = f"; {count.get()} clients got in or on, {count.get()} runs or attempts"
    process.join(60)
    return times, got


def main() -> None:
    """Print one line a crowd."""
    quiet: list[float] = []
    with running_app(25) as app:
        for turn, (name, crowd) in enumerate(CROWDS.items()):
            times, got = measure(app.url, 1 + turn * N_READERS, crowd)
            quiet = quiet or times
            p50, p95, p99 = np.percentile(times, (50, 95, 99))
            ratios = p50 / np.median(quiet), p95 / np.percentile(quiet, 95)
            print(
                f"{name:<30} {len(times)} saves, p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f}; "
                f"x{ratios[0]:.1f} at the median, x{ratios[1]:.1f} at p95{got}",
                flush=True,
            )


if __name__ == "__main__":
    main()
