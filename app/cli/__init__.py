"""The command line: one module a group of verbs. Data on stdout, words on stderr."""

from app.cli.main import main

__all__ = ["main"]
