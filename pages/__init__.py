"""One screen a file, each a ``render()``; nothing happens on import. ``navigation.py`` is the script that is run."""
