"""``python -m training``; the commands stand in :mod:`training.command_line`."""

import sys

from core.errors import SettingsError
from core.runtime import configure_threads, keep_caches_in
from core.settings import get_settings

if __name__ == "__main__":
    try:
        configure_threads()  # before torch is imported, which reads the number once
        keep_caches_in(get_settings().cache_folder)
    except SettingsError as error:
        sys.stderr.write(f"Error ({error.code}): {error}\n")
        sys.exit(2)
    from training.command_line import main

    main()
