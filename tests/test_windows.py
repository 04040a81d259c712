"""A Windows host with a challenge password off NDES' page, as fleets have it: persona, paths and renewals."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from urllib.request import Request, urlopen

import pytest

from app.client import Identity
from app.personas import PERSONAS, Session, enrol, renew
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from tests.command_line import Service, did, serving
from tests.world import rsa_key

WINDOWS = PERSONAS["windows"]
# As it stands in scripts that fetch challenge passwords for fleets of devices.
SCRAPER = re.compile(r"The enrollment challenge password is: <B> ([A-F0-9]{16}) </B>")
ADMIN_PASSWORD = "a password for the administrator"
SETTINGS = """
[profiles.default]
renewal_days = 0
"""


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


def enrol_at(service: Service, path: str, number: int, challenge: str) -> Session:
    """Enrol host *number* at a path of the service."""
    url = service.url.removesuffix("/scep") + path
    return enrol(
        WINDOWS, url, subject=Name.from_text(f"CN=pc-{number}"), key=rsa_key(number), challenge=challenge
    )


@pytest.mark.parametrize("path", ["/certsrv/mscep/mscep.dll", "/scep"])
def test_windows_enrols_and_renews(service: Service, path: str) -> None:
    """With a password that a script took off NDES' page; renewals need none, of either type."""
    url = service.url.removesuffix("/scep") + path

    first = enrol_at(service, path, 1, scrape(service))

    certificate, key = first.certificate, rsa_key(1)
    for number, message_type in ((2, "17"), (3, "19")):
        assert certificate is not None
        host = WINDOWS.model_copy(update={"renewal": message_type})
        identity = Identity(Certificate.load(certificate), key)
        again = renew(host, url, identity, key=rsa_key(number))
        assert again.certificate not in (None, certificate), again.outcome
        assert again.objections == ()
        certificate, key = again.certificate, rsa_key(number)
    assert certificate is not None
    assert str(Certificate.load(certificate).subject) == "CN=pc-1"


def test_the_password_of_the_page_is_good_once(service: Service) -> None:
    """As NDES' is: the next host needs the next one."""
    password = scrape(service)

    first = enrol_at(service, "/certsrv/mscep/mscep.dll", 1, password)
    second = enrol_at(service, "/certsrv/mscep/mscep.dll", 2, password)

    assert first.certificate is not None
    assert second.certificate is None
    assert "challenge password not accepted" in second.outcome
