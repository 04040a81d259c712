"""Becomes ``PYTHON PROGRAM ARGUMENT...``, the command it is given, and notices in seconds what hangs."""

import os
import runpy
import sys

if __name__ == "__main__":
    sys.argv = sys.argv[2:]
    sys.path[0] = os.path.dirname(sys.argv[0])

    from app.cli import service
    from app.workers import watch

    service.BUSY_SECONDS = 2.0
    watch.LOOK_SECONDS, watch.MOST_LOOKS = 0.5, 10
    runpy.run_path(sys.argv[0], run_name="__main__")
