"""Secrets and certificates that the settings name by file, and what is said where one cannot be used."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from app.data_folder import readable_by_others
from ca.issuing.key_store import KeyUnusable, read_private_key
from ca.issuing.root import CaUnusable, read_certificates
from ca.journal import log_line
from ca.x509.certificate import Certificate

log = logging.getLogger(__name__)
MAX_SECRET_OCTETS = 64 * 1024


class FileUnusable(Exception):
    """A file that a validator needs cannot be used; the text says which key of the settings, and why."""


class SecretElsewhere(FileUnusable):
    """A secret is named by no file, and this process's environment does not have it."""


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """Reads them. *folder* is where relative names begin, *section* the place in the settings."""

    folder: Path
    section: str

    def find(self, key: str, named: Path) -> Path:
        """Where the file is that *key* names.

        Raises:
            FileUnusable: It is not there.

        """
        path = self.folder / named.expanduser()
        if not path.is_file():
            raise FileUnusable(f"{self.section}.{key}: there is no file {path}")
        return path

    def program(self, key: str, named: str) -> str:
        """The program that *key* names, as it is; one without a folder is looked for as the system does.

        Raises:
            FileUnusable: It is not there, or nothing that can be run.

        """
        path = Path(named)
        if shutil.which(named if path.name == named else str(self.folder / path)) is None:
            raise FileUnusable(f"{self.section}.{key}: there is no program {named} that can be run")
        return named

    def secret(self, key: str, named: Path | None, value: SecretStr | None, *, at_least: int = 1) -> str:
        """The secret in the file, or the one that the environment brought; a line end does not count.

        Raises:
            SecretElsewhere: There is neither.
            FileUnusable: It cannot be read, is no text, or shorter than *at_least* octets.

        """
        if value is None and named is None:
            variable = f"SCEPBOX_{self.section}.{key}".upper().replace(".", "__").replace("-", "_")
            raise SecretElsewhere(
                f"{self.section}.{key}_file is missing: a file with the secret in it; or set {variable}"
            )
        if value is not None:
            secret, where = value.get_secret_value(), f"{self.section}.{key}"
        else:
            path = self._private(f"{key}_file", named)
            where = f"{self.section}.{key}_file: {path}"
            try:
                with path.open("rb") as file:
                    octets = file.read(MAX_SECRET_OCTETS)
                # With or without the mark that Windows puts in front.
                secret = octets.decode("utf-8-sig").rstrip("\r\n")
            except OSError as error:
                raise FileUnusable(f"{where} cannot be read: {error.strerror or error}") from error
            except UnicodeDecodeError:
                # Without the cause, which holds the octets.
                raise FileUnusable(f"{where} is no UTF-8 text: write the secret into it as letters") from None
        if len(secret.encode("utf-8", "surrogateescape")) < at_least:
            raise FileUnusable(
                f"{where} is shorter than {at_least} octets: make one by `openssl rand -hex 32`"
            )
        return secret

    def key(self, key: str, named: Path | None) -> rsa.RSAPrivateKey:
        """The private key in a PEM file without passphrase.

        Raises:
            FileUnusable: There is none, or it is not RSA.

        """
        path = self._private(key, named)
        try:
            private = read_private_key(path)
        except (OSError, KeyUnusable) as error:
            raise FileUnusable(f"{self.section}.{key}: {error}") from error
        if not isinstance(private, rsa.RSAPrivateKey):
            raise FileUnusable(f"{self.section}.{key}: {path} has no RSA key")
        return private

    def certificates(self, key: str, named: Path | None) -> tuple[Certificate, ...]:
        """The certificates in a PEM file.

        Raises:
            FileUnusable: There are none.

        """
        path = self.find(key, named or Path())
        try:
            return read_certificates(path)
        except (OSError, CaUnusable) as error:
            raise FileUnusable(f"{self.section}.{key}: {error}") from error

    def _private(self, key: str, named: Path | None) -> Path:
        path = self.find(key, named or Path())
        if readable_by_others(path):
            reason = f"{path} may be read by others: chmod 600 it"
            log.warning(log_line(setting=f"{self.section}.{key}", reason=reason))
        return path
