"""One deed a file; the screens and the command line call the same ones."""

from collections.abc import Callable

#: ``progress(done, total, what)``: how a long deed tells how far it is.
Progress = Callable[[int, int, str], None]
