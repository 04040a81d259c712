"""The programs of others that these tests need: what is missing, and which version is there.

The one place that decides what a missing program means. On a person's machine it is a visible
skip; where CI=true it is a failure, because a suite that skips its peers proves nothing.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

FORGE = Path(__file__).parent / "forge"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program, the Debian package it comes in, and how to ask for its version."""

    name: str
    packages: str
    ask_version: tuple[str, ...]
    version: str

    @property
    def program(self) -> str:
        """The name on the PATH."""
        return self.ask_version[0]


OPENSSL = Peer("openssl", "openssl", ("openssl", "version"), r"OpenSSL (\S+)")
SCEPCLIENT = Peer("scepclient", "scep", ("scepclient", "-version"), r"(\d\S+)")
SCEPSERVER = Peer("scepserver", "scep", ("scepserver", "-version"), r"(\d\S+)")
STRONGSWAN = Peer(
    "strongSwan pki",
    "strongswan-pki libstrongswan-extra-plugins",
    ("pki", "--scepca", "--help"),
    r"strongSwan (\S+)",
)
CERTMONGER = Peer("certmonger", "certmonger", ("certmonger", "-v"), r"certmonger (\S+)")
RUBY = Peer(
    "Ruby OpenSSL::PKCS7",
    "ruby",
    ("ruby", "-ropenssl", "-e", "puts RUBY_VERSION + ', openssl ' + OpenSSL::VERSION"),
    r"(\d.*)",
)
NODE_FORGE = Peer(
    "node-forge",
    "nodejs npm",
    ("node", "-p", "require('node-forge/package.json').version"),
    r"(\d\S+)",
)


def require(peer: Peer) -> None:
    """Skip the test, or fail it in CI, where *peer* cannot be had."""
    if reason := missing(peer):
        reason = f"{peer.name}: {reason}; on Debian: apt-get install {peer.packages}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@cache
def missing(peer: Peer) -> str | None:
    """Say what keeps *peer* from running, or None."""
    if shutil.which(peer.program) is None:
        return f"no program {peer.program!r}"
    if peer is STRONGSWAN and "no capable fetcher" in _output(_FETCH_NOTHING):
        return "its plugin that speaks HTTP is missing"
    if peer is NODE_FORGE:
        return _install_forge()
    return None


@cache
def version(peer: Peer) -> str:
    """Ask *peer* itself for its version."""
    found = re.search(peer.version, _output(peer.ask_version))
    assert found, f"{peer.ask_version} does not tell a version"
    return found[1]


_FETCH_NOTHING = ("pki", "--scepca", "--url", "http://127.0.0.1:9/", "--caout", os.devnull)


def _install_forge() -> str | None:
    """Install node-forge as its lock file has it, unless it is there already."""
    if not (FORGE / "node_modules/node-forge").exists():
        if shutil.which("npm") is None:
            return "no program 'npm'"
        npm = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(npm, cwd=FORGE, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"npm ci failed: {done.stderr.strip()}"
    return None


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, cwd=FORGE, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
