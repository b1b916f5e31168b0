"""The steps of :func:`core.analysis.analyse`, one meaning a file. Import the names from :mod:`core.analysis`."""
