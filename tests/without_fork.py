"""Becomes ``PYTHON PROGRAM ARGUMENT...``, the command it is given, on a system that cannot fork, as Windows.

Its processes are then spawned, here as there, with all but what is the system's own.
"""

import os
import runpy
import sys

if __name__ == "__main__":
    del os.fork
    sys.argv = sys.argv[2:]
    sys.path[0] = os.path.dirname(sys.argv[0])
    runpy.run_path(sys.argv[0], run_name="__main__")
