"""Python runs this at its start where this folder is on PYTHONPATH: the store's clock then goes as a test says.

Nothing in the program knows of it: the one clock of the repository, which every deed and every date asks, is exchanged
before the server starts. The file named by TEST_CLOCK holds the days by which it is ahead.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]
_DAYS = Path(os.environ["TEST_CLOCK"])


def now() -> datetime:
    """This instant, and the days of the file."""
    return datetime.now(UTC) + timedelta(days=float(_DAYS.read_text(encoding="utf-8")))


sys.path.insert(0, str(_ROOT))
from db.repository.access import RepositoryBase, utc_now  # noqa: E402

_usual = RepositoryBase.__init__.__kwdefaults__
if _usual is None or _usual["clock"] is not utc_now:
    raise RuntimeError("the repository's clock is not where this test looks for it")
_usual["clock"] = now
