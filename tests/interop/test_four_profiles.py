"""The example of docs/examples serves four real clients at once, each by its own rules."""

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.services import Received, Reply, Service, running
from tests.webhooks import is_genuine

from . import peers
from .scripts import NODE_FORGE, RUBY
from .server import Server, run, serving

EXAMPLE = Path(__file__).parents[2] / "docs/examples/scepbox.toml"
SECRET = "a secret of the inventory and of ours"


def _know_phone_7(request: Received) -> Reply:
    """What the inventory of the example says: it has one phone."""
    if not is_genuine(request, SECRET.encode()):
        return Reply.of({"allow": False, "reason": "not signed by us"})
    if "CN=phone-7" in json.loads(request.body)["subject"]:
        return Reply.of({"allow": True})
    return Reply.of({"allow": False, "reason": "not in the inventory"})


@pytest.fixture
def asked() -> Iterator[Service]:
    """The inventory that the example asks about each phone."""
    with running(Service(_know_phone_7)) as service:
        yield service


@pytest.fixture
def server(asked: Service, tmp_path: Path) -> Iterator[Server]:
    """The service by the very file of the documents, but for where the inventory is."""
    for peer in (peers.OPENSSL, peers.SCEPCLIENT, peers.STRONGSWAN, peers.RUBY, peers.NODE_FORGE):
        peers.require(peer)
    settings = EXAMPLE.read_text("utf-8").replace("https://inventory.example.org/scep", asked.url)
    data = tmp_path / "data"
    data.mkdir()
    (data / "inventory.secret").write_text(SECRET)
    (data / "inventory.secret").chmod(0o600)
    with serving(data, settings, profile="lab") as server:
        yield server


def _scepclient(server: Server, home: Path) -> x509.Certificate:
    """A lab machine with the password that all of them have."""
    files = ("-private-key", str(home / "lab.key"), "-certificate", str(home / "lab.pem"))
    asking = ("-challenge", server.challenge, "-cn", "lab-7", "-organization", "Example")
    command = ["scepclient", "-server-url", f"{server.url}/lab", *files, *asking]
    # By default it asks for a country, a province and an OU of its own, which the lab does not have.
    done = subprocess.run(
        [*command, "-country", "", "-province", "", "-ou", ""], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return x509.load_pem_x509_certificate((home / "lab.pem").read_bytes())


def _ruby(server: Server, _: Path) -> x509.Certificate:
    """An iPad with a password of its own, made for its name."""
    bound = ("--subject", "CN=ipad-17,O=Ruby", "--san", "dns:ipad-17.example")
    password = run(server.data, "challenge", "new", "--profile", "ipads", *bound).strip()
    job = {"challenge": password, "cipher": "AES-128-CBC", "digest": "SHA-256", "method": "POST"}
    asking = {"common_name": "ipad-17", "dns_name": "ipad-17.example"}
    answer = RUBY.ask("enrol", f"{server.url}/ipads", **asking, **job)
    assert answer["pki_status"] == "0", answer
    return x509.load_pem_x509_certificate(answer["certificates"][0].encode())


def _forge(server: Server, _: Path) -> x509.Certificate:
    """A phone that the inventory knows, and one that it does not."""
    job = {"cipher": "AES-128-CBC", "digest": "SHA-256", "method": "POST", "challenge": None}
    url = f"{server.url}/fleet"
    lost = NODE_FORGE.ask("enrol", url, common_name="phone-8", dns_name="phone-8.fleet.example.org", **job)
    assert lost["pki_status"] == "2", lost
    answer = NODE_FORGE.ask("enrol", url, common_name="phone-7", dns_name="phone-7.fleet.example.org", **job)
    assert answer["pki_status"] == "0", answer
    return x509.load_pem_x509_certificate(answer["certificates"][0].encode())


def _strongswan(server: Server, home: Path) -> x509.Certificate:
    """A printer that polls until a person has approved it."""
    key = home / "printer.key"
    generate = ["pki", "--gen", "--type", "rsa", "--size", "2048", "--outform", "pem"]
    key.write_bytes(subprocess.run(generate, capture_output=True, check=True).stdout)
    ca = str(server.ca_file)
    trust = ["--cacert-enc", ca, "--cacert-sig", ca]
    asking = ["--in", str(key), "--dn", "CN=printer-3", "--outform", "pem", "--interval", "1"]
    command = ["pki", "--scep", "--url", f"{server.url}/printers", *trust, *asking]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        server.approve("printer-3")
        printed, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    return x509.load_pem_x509_certificate(printed)


CLIENTS: dict[str, Callable[[Server, Path], x509.Certificate]] = {
    "lab": _scepclient,
    "ipads": _ruby,
    "fleet": _forge,
    "printers": _strongswan,
}


def test_four_profiles_serve_four_clients_at_once(server: Server, asked: Service, tmp_path: Path) -> None:
    """A static password, one for a name, an inventory and a person: one server, one file of settings."""
    with ThreadPoolExecutor(len(CLIENTS)) as pool:
        running = {name: pool.submit(client, server, tmp_path) for name, client in CLIENTS.items()}
        certificates = {name: future.result() for name, future in running.items()}

    subjects = {name: one.subject.rfc4514_string() for name, one in certificates.items()}
    assert subjects["ipads"] == "CN=ipad-17,OU=Tablets,O=Example"
    assert subjects["printers"] == "CN=printer-3"
    assert {name: _common_name(one) for name, one in certificates.items()} == {
        "lab": "lab-7",
        "ipads": "ipad-17",
        "fleet": "phone-7",
        "printers": "printer-3",
    }
    listed = json.loads(run(server.data, "cert", "list", "--json"))
    assert {row["profile"] for row in listed} == CLIENTS.keys()
    names = {json.loads(one.body)["subject_alt_names"][0] for one in asked.received}
    assert names == {"dns:phone-7.fleet.example.org", "dns:phone-8.fleet.example.org"}


def _common_name(certificate: x509.Certificate) -> str:
    (attribute,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attribute.value)
