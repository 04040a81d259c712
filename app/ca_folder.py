"""Where the files of each CA lie, and which CA is which: that of today, the next, and those before.

The first CA lies in ``ca/`` itself. The next one is ``ca/next``; when it is activated, the folder is
renamed to ``ca/2`` (the next time ``ca/3``), and that of the highest number is the CA of today. One
that is given up becomes ``ca/aborted-1``. A change is one renaming, which the system does whole or
not at all: whoever looks sees the state before it or the one after, whatever is killed meanwhile.
Nothing is written here.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_RA_NAME = re.compile(r"ra-([1-9][0-9]{0,8})\.pem")
_NUMBER = re.compile(r"[2-9]|[1-9][0-9]{1,8}")
_ABORTED = re.compile(r"aborted-([1-9][0-9]{0,8})")
NEXT = "next"


@dataclass(frozen=True, slots=True)
class CaFolder:
    """The files of one CA."""

    path: Path

    @property
    def certificate(self) -> Path:
        """The CA certificate, PEM."""
        return self.path / "ca.pem"

    @property
    def key(self) -> Path:
        """Its private key, PEM (PKCS #8)."""
        return self.path / "ca.key"

    @property
    def chain(self) -> Path:
        """The certificates above an imported CA, PEM; absent where there are none."""
        return self.path / "chain.pem"

    @property
    def ocsp_signer(self) -> Path:
        """Certificate and key of the OCSP responder, PEM; the server makes and renews it."""
        return self.path / "ocsp.pem"

    @property
    def activated(self) -> Path:
        """When it became the CA of today, RFC 3339; the first CA has none."""
        return self.path / "activated"

    def ra_certificate(self, number: int) -> Path:
        """The certificate of the registration authority's key of that number, PEM."""
        return self.path / f"ra-{number}.pem"

    def ra_key(self, number: int) -> Path:
        """The key of that number, PEM (PKCS #8)."""
        return self.path / f"ra-{number}.key"

    @property
    def has_ra(self) -> bool:
        """Whether there is a registration authority, or at least a part of one."""
        return any(self.path.glob("ra-*"))

    def ra_numbers(self) -> list[int]:
        """The numbers of the registration authority's certificates, the newest first."""
        found = (_RA_NAME.fullmatch(path.name) for path in self.path.glob("ra-*.pem"))
        return sorted((int(name[1]) for name in found if name), reverse=True)

    def private_keys(self) -> list[Path]:
        """Every file with a private key that there should be."""
        return [self.key, *(self.ra_key(number) for number in self.ra_numbers())]


@dataclass(frozen=True, slots=True)
class CaFolders:
    """The CAs below one ``ca/`` by the names of their folders, those that came last in front."""

    root: Path
    numbers: tuple[int, ...]
    has_next: bool
    aborted_numbers: tuple[int, ...]

    @classmethod
    def look(cls, root: Path) -> "CaFolders":
        """Look which there are; a folder that is not there holds the first alone."""
        names = [path.name for path in root.iterdir()] if root.exists() else []
        numbers = sorted((int(name) for name in names if _NUMBER.fullmatch(name)), reverse=True)
        aborted = sorted((int(name[1]) for name in map(_ABORTED.fullmatch, names) if name), reverse=True)
        return cls(root, tuple(numbers), NEXT in names, tuple(aborted))

    @property
    def current(self) -> CaFolder:
        """The CA of today."""
        return self._before[0]

    @property
    def former(self) -> tuple[CaFolder, ...]:
        """Those that were the CA of some day before."""
        return tuple(self._before[1:])

    @property
    def next(self) -> CaFolder:
        """The next CA, where *has_next*."""
        return CaFolder(self.root / NEXT)

    @property
    def aborted(self) -> tuple[CaFolder, ...]:
        """Those that were prepared and never activated."""
        return tuple(CaFolder(self.root / f"aborted-{number}") for number in self.aborted_numbers)

    def all(self) -> tuple[CaFolder, ...]:
        """Every CA, that of today first."""
        following = (self.next,) if self.has_next else ()
        return (self.current, *following, *self.former, *self.aborted)

    @property
    def place_of_activated(self) -> Path:
        """What the next CA's folder is called once it is the CA of today."""
        return self.root / str(max(self.numbers, default=1) + 1)

    @property
    def place_of_aborted(self) -> Path:
        """What it is called once it is given up."""
        return self.root / f"aborted-{max(self.aborted_numbers, default=0) + 1}"

    @property
    def _before(self) -> list[CaFolder]:
        return [*(CaFolder(self.root / str(number)) for number in self.numbers), CaFolder(self.root)]
