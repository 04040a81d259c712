"""Runs the whole test suite, after setting up what is missing: the checkers and the real peers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# The program that shows that a package is there, and the Debian package to install if it is not.
PEERS = {
    "openssl": ["openssl"],
    "scepclient": ["scep"],
    "pki": ["strongswan-pki"],
    "certmonger": ["certmonger"],
    "ruby": ["ruby"],
    "node": ["nodejs"],
    "npm": ["npm"],
    "pg_ctlcluster": ["postgresql"],
}
# What these programs load, which may be missing where they are not: EC, and HTTP.
PLUGINS = ["libstrongswan-standard-plugins", "libstrongswan-extra-plugins"]
FORGE = ROOT / "tests" / "interop" / "forge"


def main() -> None:
    """Set up, then hand over to pytest with whatever arguments were given."""
    from app.bootstrap import ensure_environment

    ensure_environment(ROOT, [ROOT / "requirements.txt", ROOT / "requirements-dev.txt"])
    _install_peers()
    _install_node_forge()
    os.chdir(ROOT)
    import pytest

    if sys.argv[1:]:
        sys.exit(pytest.main(sys.argv[1:]))
    _check_style()
    # A file of tests is one process's, for its servers and keys; the documents come last.
    processes = ["-n", str(_cores()), "--dist", "loadfile", "--no-loadscope-reorder"]
    sys.exit(pytest.main([*processes, "--cov", "--cov-report=term-missing", "--cov-fail-under=100"]))


def _cores() -> int:
    """How many processes test at once: more than four would be in each other's way."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(usable or 1, 4)


def _check_style() -> None:
    """Ruff and mypy first: what they find is cheaper to mend than a failing test."""
    for check in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]):
        if subprocess.run([sys.executable, "-m", *check], check=False, stdout=sys.stderr).returncode:
            sys.exit(f"tests: {' '.join(check)} has something to say; see above")


def _install_peers() -> None:
    """Install the missing peers where this is a Debian that lets us; else their tests say so."""
    missing = [package for program, names in PEERS.items() if not shutil.which(program) for package in names]
    if shutil.which("dpkg-query"):
        missing += [package for package in PLUGINS if not _is_installed(package)]
    if not missing:
        return
    if not Path("/etc/debian_version").exists() or os.geteuid() != 0:
        print(f"tests: not here, and their tests will be skipped: {' '.join(missing)}", file=sys.stderr)
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    print(f"tests: installing {' '.join(missing)}", file=sys.stderr, flush=True)
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
    ):
        subprocess.run(command, check=False, stdout=sys.stderr, env=environment)


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${Status}", package]
    return subprocess.run(query, check=False, capture_output=True, text=True).stdout.endswith(" installed")


def _install_node_forge() -> None:
    if (FORGE / "node_modules" / "node-forge").exists() or not shutil.which("npm"):
        return
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    subprocess.run(command, check=False, cwd=FORGE, stdout=sys.stderr)


if __name__ == "__main__":
    main()
