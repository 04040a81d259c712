"""A network namespace for the run: Debian's scepserver listens on every address of the machine."""

import os
import shutil
import subprocess
import sys

import click

_MARK = "SCEPBOX_BENCHMARK_NAMESPACE"


def enter_namespace() -> None:
    """Start this program again with a loopback interface and nothing else; returns inside.

    Raises:
        click.ClickException: The rights or the programs for it are missing.

    """
    if os.environ.get(_MARK):
        return
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise click.ClickException(
            "scepserver listens on all addresses, so it runs in a network namespace, which needs root; "
            "run this as root on Linux, or leave scepserver out with --only scepbox"
        )
    for program, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if not shutil.which(program):
            raise click.ClickException(f"{program} is missing; try: apt-get install {package}")
    os.environ[_MARK] = "1"
    script = 'ip link set lo up && exec "$@"'
    command = ["unshare", "-n", "sh", "-c", script, "sh", sys.executable, *sys.orig_argv[1:]]
    sys.exit(subprocess.run(command, check=False).returncode)
