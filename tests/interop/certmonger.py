"""certmonger's daemon on a socket of its own, and getcert as an administrator types it."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import peers
from .server import Server

# The states in which the daemon does nothing more, or nothing for a long while.
AT_REST = {
    "MONITORING",
    "CA_WORKING",
    "CA_REJECTED",
    "CA_UNREACHABLE",
    "CA_UNCONFIGURED",
    "NEED_GUIDANCE",
}

FOLDERS = ("config", "requests", "cas", "local", "tmp", "nss")


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA as certmonger keeps it, with a cipher and a digest of our choice where given."""

    name: str
    server: Server
    url: str
    cipher: str = ""
    digest: str = ""

    @property
    def helper(self) -> list[str]:
        """The command that speaks SCEP to this CA, as certmonger runs it."""
        # A self-signed CA must be given by hand; certmonger trusts none that it only fetched.
        return [_scep_submit(), "-u", self.url, *self.trust]

    @property
    def trust(self) -> list[str]:
        """The certificates as an administrator gives them: the CA's, and its RA's where there is one."""
        ca_file, ra_file = self.server.ca_file, self.server.ra_file
        return ["-N", str(ca_file), *(["-r", str(ra_file)] if ra_file else [])]

    @property
    def file(self) -> str:
        """The CA as the daemon reads it from its folder when it starts."""
        lines = {
            "id": self.name,
            "ca_type": "EXTERNAL",
            "ca_external_helper": " ".join(self.helper),
            "scep_cipher": self.cipher,
            "scep_digest": self.digest,
        }
        return "".join(f"{key}={value}\n" for key, value in lines.items() if value)


@dataclass(frozen=True, slots=True)
class Certmonger:
    """A running daemon and the folder with its keys and certificates."""

    home: Path
    environment: dict[str, str]

    def key(self, request: str) -> Path:
        """Where the key of *request* is stored."""
        return self.home / f"{request}.key"

    def certificate(self, request: str) -> Path:
        """Where the certificate of *request* is stored."""
        return self.home / f"{request}.pem"

    def certificate_in_nss(self, request: str) -> str:
        """Return what the daemon keeps of a certificate that it stored in the NSS database."""
        records = [file.read_text() for file in (self.home / "requests").iterdir()]
        (record,) = [record for record in records if f"id={request}\n" in record]
        found = re.search(r"^cert=((?:.*\n )*.*\n)", record, re.MULTILINE)
        assert found, record
        return found[1].replace("\n ", "\n")

    def add_scep_ca(self, issuer: Issuer) -> None:
        """Add a CA to the running daemon, as an administrator does."""
        self._getcert("add-scep-ca", "-c", issuer.name, "-u", issuer.url, *issuer.trust)

    def request(self, request: str, issuer: Issuer, challenge: str, *options: str, nss: bool = False) -> str:
        """Ask for a certificate, wait for the outcome, and return the state it is in.

        With *nss*, key and certificate live in an NSS database, and NSS writes the messages.
        """
        storage = ("-k", str(self.key(request)), "-f", str(self.certificate(request)))
        if nss:
            storage = ("-d", str(self.home / "nss"), "-n", request)
        asking = ("-N", f"O=Interop,CN={request}", "-L", challenge, *options)
        self._getcert("request", "-c", issuer.name, "-I", request, *storage, *asking)
        return self.wait(request)

    def resubmit(self, request: str) -> str:
        """Renew with the same key."""
        self._getcert("resubmit", "-i", request)
        return self.wait(request)

    def rekey(self, request: str) -> str:
        """Renew with a new key."""
        self._getcert("rekey", "-i", request)
        return self.wait(request)

    def refresh(self, request: str) -> str:
        """Have it ask at once what became of a pending request, which it would do in a week."""
        self._getcert("refresh", "-i", request)
        return self.wait(request, AT_REST - {"CA_WORKING"})

    def thumbprints(self, request: str) -> list[str]:
        """The fingerprints of the CSR that it shows its user."""
        return re.findall(r"signing request thumbprint \(\w+\): (.*)", self._getcert("list", "-i", request))

    def wait(self, request: str, states: Set[str] = frozenset(AT_REST)) -> str:
        """Poll until the daemon has come to rest over *request*."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            listed = self._getcert("list", "-i", request)
            found = re.search(r"status: (\S+)", listed)
            assert found, listed
            if found[1] in states:
                return found[1]
            time.sleep(0.05)
        raise AssertionError(f"{listed}\n{(self.home / 'log').read_text()}")

    def _getcert(self, *arguments: str) -> str:
        command = ["getcert", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def running(home: Path, *issuers: Issuer) -> Iterator[Certmonger]:
    """Start the daemon with *issuers* in its configuration, and stop it again."""
    peers.require(peers.CERTMONGER)
    for folder in FOLDERS:
        (home / folder).mkdir()
    for issuer in issuers:
        (home / "cas" / issuer.name).write_text(issuer.file)
    socket = home / "socket"
    environment = _environment(home, socket)
    with (home / "log").open("w") as log:
        command = ["certmonger", "-L", "-P", str(socket), "-n", "-d", "1"]
        daemon = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 10
        while not socket.exists():
            alive = daemon.poll() is None and time.monotonic() < deadline
            assert alive, (home / "log").read_text()
            time.sleep(0.02)
        yield Certmonger(home, environment)
    finally:
        daemon.terminate()
        daemon.wait(timeout=10)


def ask_helper(issuer: Issuer, mode: str) -> str:
    """Run the program that speaks SCEP for the daemon by itself, as its manual page suggests."""
    command = [*issuer.helper, mode]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _environment(home: Path, socket: Path) -> dict[str, str]:
    folders = {
        "CERTMONGER_CONFIG_DIR": "config",
        "CERTMONGER_REQUESTS_DIR": "requests",
        "CERTMONGER_CAS_DIR": "cas",
        "CERTMONGER_LOCAL_CA_DIR": "local",
        "CERTMONGER_TMPDIR": "tmp",
        "CERTMONGER_SYSTEM_LOCK_FILE": "lock",
    }
    return {
        **os.environ,
        **{name: str(home / folder) for name, folder in folders.items()},
        "CERTMONGER_PVT_ADDRESS": f"unix:path={socket}",
    }


def _scep_submit() -> str:
    places = [Path("/usr", lib, "certmonger/scep-submit") for lib in ("lib", "libexec")]
    return str(next(place for place in places if place.exists()))
