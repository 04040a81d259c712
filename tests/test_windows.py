"""A device as Windows is: what it sends, where it sends it, and a challenge password off NDES' page.

What Windows does is known from its traffic with other servers (throwaway signer with a critical
authorityKeyIdentifier, RSAES-OAEP, ``message=default``, ``/pkiclient.exe``); no Windows was at hand.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from urllib.request import Request, urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ca.algorithms.digests import SHA1
from ca.algorithms.key_transport import KeyTransport
from ca.scep.codec import decode_ca_certificates
from ca.scep.messages import MessageType, Outcome
from ca.x509.certificate import Certificate
from tests.command_line import Service, did, serving
from tests.world import Device, certificate_of, der, name, rsa_key

USER_AGENT = "Mozilla/4.0 (compatible; Win32; NDES client 10.0.26100.1150)"
# As it stands in scripts that fetch challenge passwords for fleets of devices.
SCRAPER = re.compile(r"The enrollment challenge password is: <B> ([A-F0-9]{16}) </B>")
# RFC 4055 4.1: what absent parameters mean.
OAEP = KeyTransport(SHA1, SHA1)
ADMIN_PASSWORD = "a password for the administrator"
SETTINGS = """
[profiles.default]
renewal_days = 0
"""


@dataclass(frozen=True, slots=True)
class Windows:
    """One Windows host that enrols with a service."""

    service: Service
    path: str

    def ask(self, operation: str, body: bytes | None = None) -> bytes:
        """It appends its own name for the program, and names a CA that nobody told it of."""
        url = f"{self.service.url.removesuffix('/scep')}{self.path}/pkiclient.exe?operation={operation}"
        headers = {"User-Agent": USER_AGENT}
        if body is None:
            url += "&message=default"
        else:
            headers["Content-Type"] = "application/x-pki-message"
        with urlopen(Request(url, body, headers), timeout=30) as answer:
            return bytes(answer.read())

    def send(self, device: Device, payload: bytes, message_type: MessageType, transaction_id: str) -> Outcome:
        """Ask for a certificate as it does, capabilities first."""
        assert b"POSTPKIOperation" in self.ask("GetCACaps").split()
        ca = decode_ca_certificates(self.ask("GetCACert"))[0]
        message = device.message(ca, payload, message_type=message_type, transaction_id=transaction_id)
        return device.read(self.ask("PKIOperation", message), ca, transaction_id)


@pytest.fixture
def service(made_ca: Path, tmp_path: Path) -> Iterator[Service]:
    """A server with its administrator's listener."""
    data = tmp_path / "data"
    copytree(made_ca, data)
    (data / "scepbox.toml").write_text(SETTINGS)
    did("admin", "password", "--secret", "-", "--data", data, stdin=ADMIN_PASSWORD)
    options = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--workers", 1)
    with serving("--data", data, *options, log=tmp_path / "log") as service:
        yield service


def throwaway() -> Certificate:
    """The certificate that Windows signs with: of another key than the CSR's, and of an odd form."""
    now = datetime.now(UTC)
    common_name = name("SCEP Protocol Certificate")
    key = rsa_key(4)
    builder = (
        x509.CertificateBuilder()
        .subject_name(common_name)
        .issuer_name(common_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        # RFC 5280 4.2.1.1 forbids it; Go's parser refuses it.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=True)
    )
    return Certificate.load(der(builder.sign(key, hashes.SHA256())))


def scrape(service: Service) -> str:
    """A challenge password off NDES' page, as scripts take it."""
    found = re.search(r"admin: (http://\S+)/", service.log)
    assert found, service.log
    login = base64.b64encode(f"EXAMPLE\\svc-ndes:{ADMIN_PASSWORD}".encode()).decode()
    page = Request(f"{found[1]}/certsrv/mscep_admin/", headers={"Authorization": f"Basic {login}"})
    with urlopen(page, timeout=30) as answer:
        password = SCRAPER.search(answer.read().decode())
    assert password
    return password[1]


@pytest.mark.parametrize("path", ["/certsrv/mscep/mscep.dll", "/scep"])
@pytest.mark.parametrize("renewal", [MessageType.RENEWAL_REQ, MessageType.PKCS_REQ])
def test_windows_enrols_and_renews(service: Service, path: str, renewal: MessageType) -> None:
    """With a password that a script took off NDES' page; the renewal needs none."""
    windows = Windows(service, path)
    device = Device("pc-7", signer_key=rsa_key(4), signer=throwaway(), key_transport=OAEP, signing_time=None)

    old = certificate_of(windows.send(device, device.csr(scrape(service)), MessageType.PKCS_REQ, "first"))
    assert old.spki != device.certificate().spki

    again = Device("pc-7", rsa_key(2), rsa_key(1), old, key_transport=OAEP, signing_time=None)
    new = certificate_of(windows.send(again, again.csr(None), renewal, "second"))
    assert str(new.subject) == "CN=pc-7"
    assert new.serial_number != old.serial_number


def test_the_password_of_the_page_is_good_once(service: Service) -> None:
    """As NDES' is: the next host needs the next one."""
    windows, password = Windows(service, "/certsrv/mscep/mscep.dll"), scrape(service)
    first, second = (
        Device(f"pc-{number}", rsa_key(number), rsa_key(4), throwaway(), signing_time=None)
        for number in (1, 2)
    )
    certificate_of(windows.send(first, first.csr(password), MessageType.PKCS_REQ, "a"))

    refused = windows.send(second, second.csr(password), MessageType.PKCS_REQ, "b")

    assert "challenge password not accepted" in str(refused)
