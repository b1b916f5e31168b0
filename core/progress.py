"""How a long deed tells how far it is."""

from collections.abc import Callable

#: ``on_progress(done, total, what)``; the total is 0 where it is not known beforehand.
OnProgress = Callable[[int, int, str], None]
