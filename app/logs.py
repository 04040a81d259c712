"""Where the log goes: standard error, a line an event, with the time in UTC."""

import logging
import sys
import time


def set_up_logs(level: str) -> None:
    """Send everything from *level* on to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Not looked at by anybody, and it costs a look-up for each line: thread, process, calling line.
    logging._srcfile = None  # the logging HOWTO's own advice
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # alembic tells of each step; what matters of it we say ourselves.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("waitress").setLevel(logging.WARNING)
    # It tells of each connection; what comes of it we say ourselves.
    logging.getLogger("urllib3").setLevel(logging.WARNING)


def set_log_level(level: str) -> None:
    """Have the log begin at another *level*."""
    logging.getLogger().setLevel(level.upper())
