"""``python -m training``; the commands stand in :mod:`training.command_line`."""

from core.runtime import configure_threads

if __name__ == "__main__":
    configure_threads()  # before torch is imported, which reads the number once
    from training.command_line import main

    main()
