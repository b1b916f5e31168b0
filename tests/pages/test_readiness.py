"""``/ready`` tells a load balancer whether readings can be taken, and nobody anything else."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import requests

from tests.pages.reading_server import ReadingServer


def test_a_server_is_ready_while_its_store_can_take_readings(own_server: ReadingServer, store_url: str) -> None:
    def ready(**headers: str) -> tuple[int, str]:
        time.sleep(0.11)  # an answer is given again for a moment
        answer = requests.get(f"{own_server.url}/ready", headers=headers, timeout=10, allow_redirects=False)
        assert answer.headers["cache-control"] == "no-store"
        return answer.status_code, answer.text

    path = Path(store_url.removeprefix("sqlite:///"))
    assert ready() == (200, "ready"), ready()
    assert ready(Host="10.1.2.3:8501") == (200, "ready"), "a balancer asks by address"
    with closing(sqlite3.connect(path)) as owner:
        owner.execute("UPDATE alembic_version SET version_num = '0001'")
        owner.commit()
        assert ready() == (503, "the store has another schema")
        owner.execute("UPDATE alembic_version SET version_num = 'of-tomorrow'")
        owner.commit()
        assert ready() == (200, "ready"), "a newer version that only added"
    path.rename(path.with_suffix(".away"))
    assert ready() == (503, "the store cannot be reached")
    assert requests.get(f"{own_server.url}/_stcore/health", timeout=10).status_code == 200
    path.with_suffix(".away").rename(path)
    end = time.monotonic() + 30
    while ready() != (200, "ready") and time.monotonic() < end:  # if the watch looked meanwhile, it looks again in 5 s
        time.sleep(0.5)
    assert ready() == (200, "ready")
