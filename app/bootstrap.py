"""Sets up what is missing before anything else runs: a virtual environment with the requirements.

Needs the standard library alone, because nothing else may be there yet.
"""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

CANNOT_RUN = 2


def ensure_environment(root: Path, requirements: Sequence[Path]) -> None:
    """Go on in the virtual environment ``.venv`` of *root*, made or renewed where needed.

    Whoever runs in a virtual environment of his own keeps it, if the packages are there. Does not
    return where it has to start the program anew inside ``.venv``.
    """
    home = root / ".venv"
    inside = Path(sys.prefix).resolve() == home.resolve()
    if not inside and sys.prefix != sys.base_prefix and _has_packages():
        return
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    mark = home / "requirements.sha256"
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in requirements)).hexdigest()
    if wanted not in _installed(mark):
        with _alone(root):
            # Whoever was waited for may have done it.
            installed = _installed(mark)
            if wanted not in installed:
                _install(home, python, requirements)
                mark.write_text("\n".join([*installed, wanted]))
    if not inside:
        _start_again(python)


def _installed(mark: Path) -> list[str]:
    return mark.read_text().split() if mark.exists() else []


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keep other starts out meanwhile: making ``.venv`` begins with removing what is half there.

    The lock is the system's, and ends with the process however that ends.
    """
    try:
        file = (root / ".venv.lock").open("a")
    except OSError:
        # Then nothing else can be made there either, which is told when it is tried.
        yield
        return
    with file:
        if not _lock(file.fileno()):
            _say("waiting for another start, which makes the virtual environment")
            while not _lock(file.fileno()):
                time.sleep(0.2)
        yield


def _lock(descriptor: int) -> bool:
    """Lock a file if nobody else has, and say whether it is so."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network file systems have no locks; there it goes on without.
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return True


def _has_packages() -> bool:
    try:
        import bottle  # noqa: F401
        import cryptography  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError:
        return False
    return True


def _install(home: Path, python: Path, requirements: Sequence[Path]) -> None:
    if not python.exists() or not _has_pip(python):
        _say("making a virtual environment in .venv")
        _make_venv(home)
    _say("installing the requirements (once)")
    files = [part for path in requirements for part in ("-r", str(path))]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *files]
    if subprocess.run(pip, check=False, stdout=sys.stderr).returncode:
        _stop("the requirements could not be installed; is the network there? See above.")


def _has_pip(python: Path) -> bool:
    """Whether the environment is whole: who was interrupted while it was made finds one without pip."""
    command = [str(python), "-m", "pip", "--version"]
    return not subprocess.run(command, check=False, capture_output=True).returncode


def _make_venv(home: Path) -> None:
    """Make it, on Debian with the package that Debian splits off."""
    try:
        venv.create(home, with_pip=True, clear=True)
        return
    except (subprocess.CalledProcessError, OSError) as error:
        shutil.rmtree(home, ignore_errors=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        package = version if Path("/etc/debian_version").exists() else ""
        if not package or not hasattr(os, "geteuid") or os.geteuid() != 0:
            hint = f"; try: sudo apt-get install {package}" if package else ""
            _stop(f"no virtual environment could be made ({error}){hint}")
    _say(f"installing Debian's {package}")
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", package]):
        subprocess.run(command, check=False, stdout=sys.stderr, env=_quiet_apt())
    try:
        venv.create(home, with_pip=True, clear=True)
    except (subprocess.CalledProcessError, OSError) as error:
        _stop(f"no virtual environment could be made ({error})")


def _quiet_apt() -> dict[str, str]:
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}


def _start_again(python: Path) -> None:
    command = [str(python), *sys.orig_argv[1:]]
    if sys.platform == "win32":
        # Windows has no exec: a child that shares the console gets Ctrl-C and Ctrl-Break too, and is waited
        # for. Left as it is, Ctrl-Break would end this process at once.
        signal.signal(signal.SIGBREAK, signal.SIG_IGN)
        child = subprocess.Popen(command)
        while True:
            try:
                sys.exit(child.wait())
            except KeyboardInterrupt:
                continue
    sys.stdout.flush()
    os.execv(python, command)


def _stop(why: str) -> NoReturn:
    _say(why)
    sys.exit(CANNOT_RUN)


def _say(text: str) -> None:
    print(f"scepbox: {text}", file=sys.stderr, flush=True)
