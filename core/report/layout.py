"""The layouts of a file of readings; one module for each reads and writes it."""

from enum import StrEnum


class Layout(StrEnum):
    """Which columns a file of readings has."""

    LONG = "long"  # core/report/long_file.py: ours, any number of classes
    MRMCAOV = "mrmcaov"  # core/report/mrmcaov_file.py: the R package MRMCaov
    IMRMC = "imrmc"  # core/report/imrmc_file.py: iMRMC, the program and the R package
    RJAFROC = "rjafroc"  # core/report/rjafroc_file.py: Excel files of the R package RJafroc
    PROC = "proc"  # core/report/proc_file.py: a column for each reader, for pROC and others
