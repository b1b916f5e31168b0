"""The commands of ``manage.py``, one group a file; a command reads its words, calls a deed and prints."""
