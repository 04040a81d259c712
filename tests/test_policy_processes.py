"""Policy across processes: a password that is good once is good once, whichever server it is sent to."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from shutil import copytree
from urllib.request import Request, urlopen

import pytest

from ca.scep.codec import decode_ca_certificates
from ca.scep.messages import Failure, Outcome, Success
from ca.x509.certificate import Certificate
from tests.command_line import Service, did, serving
from tests.world import Device, certificate_of, rsa_key

ROUNDS = 8
DEVICES = 4


@pytest.fixture
def data(made_ca: Path, tmp_path: Path) -> Path:
    """A CA that two servers serve."""
    data = tmp_path / "data"
    copytree(made_ca, data)
    return data


@pytest.fixture
def servers(data: Path, tmp_path: Path) -> Iterator[list[Service]]:
    """Two servers, each of one process, over one data folder."""
    options = ("--listen", "127.0.0.1:0", "--admin-listen", "off", "--workers", 1)
    with ExitStack() as running:
        yield [
            running.enter_context(serving("--data", data, *options, log=tmp_path / f"log-{number}"))
            for number in (1, 2)
        ]


def _ca(service: Service) -> Certificate:
    return decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])[0]


def _send(service: Service, ca: Certificate, device: Device, payload: bytes, transaction_id: str) -> Outcome:
    message = device.message(ca, payload, transaction_id=transaction_id)
    with urlopen(Request(f"{service.url}?operation=PKIOperation", message), timeout=30) as answer:
        return device.read(answer.read(), ca, transaction_id)


def _bound(data: Path, common_name: str) -> str:
    return did("challenge", "new", "--subject", f"CN={common_name}", "--data", data).strip()


def _device(common_name: str, number: int) -> Device:
    return Device(common_name, rsa_key(number), signing_time=None)


def test_a_bound_password_is_for_its_name_survives_a_lost_reply_and_is_good_once(
    data: Path, servers: list[Service]
) -> None:
    """RFC 8894 7.3 and 7.4, on whichever of the servers each request arrives."""
    one, other = servers
    ca, password = _ca(one), _bound(data, "ipad-17")
    stranger, ipad, second = _device("ipad-18", 2), _device("ipad-17", 1), _device("ipad-17", 3)

    assert isinstance(_send(one, ca, stranger, stranger.csr(password), "stranger"), Failure)
    payload = ipad.csr(password)
    issued = certificate_of(_send(one, ca, ipad, payload, "ipad"))
    # The reply was lost: the same request to the other server gets the same certificate.
    assert certificate_of(_send(other, ca, ipad, payload, "ipad")).der == issued.der
    assert isinstance(_send(other, ca, second, second.csr(password), "second"), Failure)

    assert len(json.loads(did("cert", "list", "--json", "--data", data))) == 1


def test_of_devices_that_race_on_two_servers_one_gets_the_certificate(
    data: Path, servers: list[Service]
) -> None:
    """One UPDATE decides, in whichever process it runs."""
    ca = _ca(servers[0])
    devices = [_device("ipad-17", number) for number in range(1, DEVICES + 1)]

    for round_number in range(ROUNDS):
        password = _bound(data, "ipad-17")
        with ThreadPoolExecutor(DEVICES) as pool:
            racing = [
                pool.submit(
                    _send, servers[number % 2], ca, device, device.csr(password), f"{round_number}-{number}"
                )
                for number, device in enumerate(devices)
            ]
        assert [isinstance(one.result(), Success) for one in racing].count(True) == 1

    assert len(json.loads(did("cert", "list", "--json", "--data", data))) == ROUNDS
