"""Personas held against the clients that they stand for: what both send, but for what differs each time."""

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from app.cli.inspect import node_json
from app.diagnosis.attributes import Role
from app.diagnosis.inspection import inspect
from app.diagnosis.opener import Opener
from app.personas import PERSONAS, enrol
from ca.issuing.key_store import read_private_key
from ca.x509.name import Name
from tests.world import NOW, rsa_key

from . import certmonger, devices, peers
from .conftest import Connect
from .messages import MESSAGE_TYPE, SENDER_NONCE, TRANSACTION_ID, read_request
from .ruby_witness import ask_ruby, differences, facts_of
from .test_scepclient import ScepClient
from .test_strongswan import StrongSwan
from .wire import Exchange, Wire


def scepclient(home: Path, wire: Wire, table: devices.Table) -> None:
    """Enrol by the real one."""
    peers.require(peers.SCEPCLIENT)
    assert ScepClient(home, table).run(wire, wire.server.challenge).returncode == 0


def strongswan(home: Path, wire: Wire, table: devices.Table) -> None:
    """Fetch the CA and enrol by the real one."""
    peers.require(peers.STRONGSWAN)
    client = StrongSwan(home, table)
    client.ca_certificate(wire)
    client.enrol(wire, client.new_key())


def by_certmonger(home: Path, wire: Wire, table: devices.Table) -> None:
    """Enrol by the real one."""
    issuer = certmonger.Issuer("persona", wire.server, wire.url)
    with certmonger.running(home, issuer) as daemon:
        assert daemon.request("one", issuer, wire.server.challenge) == "MONITORING"


CLIENTS: dict[str, Callable[[Path, Wire, devices.Table], None]] = {
    "micromdm": scepclient,
    "strongswan": strongswan,
    "certmonger": by_certmonger,
}


def asked(exchanges: list[Exchange]) -> list[tuple[str, ...]]:
    """Each request once: line and headers, without the message, its length and the port."""
    found = []
    for one in exchanges:
        target = re.sub(r"(message=)[^&]{40,}", r"\1...", one.target)
        lines = [f"{name}: {re.sub(r'[0-9]+$', '', value)}" for name, value in one.asking.items()]
        found.append((one.method, target, *lines))
    return list(dict.fromkeys(found))


def written(exchanges: list[Exchange]) -> dict[str, object]:
    """What can be told of the first message, by OpenSSL and by ``inspect``."""
    (message, *_) = [one.message for one in exchanges if one.operation == "PKIOperation"]
    read = read_request(message)
    transaction = read.attributes[TRANSACTION_ID]
    top = inspect(message, Opener(NOW), Role.REQUEST)
    return {
        "digest": read.digest,
        "signature": read.signature,
        "cipher": read.cipher,
        "messageType": read.attributes[MESSAGE_TYPE],
        "senderNonce": len(read.attributes[SENDER_NONCE]),
        # A number has as many digits as it needs.
        "transactionID": "a number" if transaction.isdigit() else len(transaction),
        "upper": transaction.upper() == transaction,
        # strongSwan's serial number is a digest, and has an octet more where its first bit is set.
        "findings": {note.finding for node in top.walk() for note in node.notes} - {"signer-serial-number"},
    }


@pytest.mark.parametrize("name", CLIENTS)
def test_a_persona_sends_what_its_client_sends(
    name: str, connect: Connect, tmp_path: Path, table: devices.Table
) -> None:
    """A persona is of use as long as nobody could tell it from its client."""
    real, ours = connect(), connect()

    CLIENTS[name](tmp_path, real, table)
    told = enrol(
        PERSONAS[name],
        ours.url,
        subject=Name.from_text(f"CN=persona-{name},O=Interop"),
        key=rsa_key(1),
        challenge=ours.server.challenge,
    )

    assert told.certificate is not None, told.outcome
    # certmonger's daemon asks for both at once, so that either may be the first.
    in_order = sorted if name == "certmonger" else list
    assert in_order(asked(ours.exchanges())) == in_order(asked(real.exchanges()))
    assert written(ours.exchanges()) == written(real.exchanges())
    # What inspect says of them is held to what others read.
    assert len(ours.operations()) == len(real.operations()) == 1


def test_what_each_persona_sends_is_read_as_ruby_reads_it(connect: Connect) -> None:
    """Clients that no Debian has: BER, single DES, MD5, critical extensions, OAEP."""
    wire = connect("legacy")
    for number, (name, persona) in enumerate(PERSONAS.items()):
        subject, challenge = Name.from_text(f"CN=read-{name},O=Interop"), wire.server.challenge
        enrol(persona, wire.url, subject=subject, key=rsa_key(number % 4), challenge=challenge)
    messages = [one.message for one in wire.exchanges() if one.operation == "PKIOperation"]
    key = read_private_key(wire.server.message_key_file, None)
    shown = [inspect(message, Opener(NOW, key), Role.REQUEST) for message in messages]
    # OpenSSL::PKCS7 opens no RSAES-OAEP.
    opened = [all("OAEP" not in node.value for node in top.walk()) for top in shown]
    pem = wire.server.message_key_file.read_text()

    facts = ask_ruby(
        [(message, pem if opens else None) for message, opens in zip(messages, opened, strict=True)]
    )

    assert len(messages) >= len(PERSONAS)
    assert opened.count(False) == 1
    for top, opens, one in zip(shown, opened, facts, strict=True):
        told = facts_of(node_json(top.children[0], as_hex=False))
        if not opens:
            told["envelope"]["opened"] = None
        assert differences(told, one) == []


@contextmanager
def scepserver(home: Path) -> Iterator[str]:
    """Debian's own server, which is wrong in ways that are known."""
    peers.require(peers.SCEPCLIENT)
    depot = str(home / "depot")
    subprocess.run(["scepserver", "ca", "-init", "-depot", depot], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    command = ["scepserver", "-depot", depot, "-port", str(port), "-challenge", "open sesame"]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/scep"
    finally:
        process.terminate()
        process.wait(timeout=30)


# What each stops at; nothing where it gets its certificate.
STOPS: dict[str, set[str]] = {
    "certmonger": {"des-reply"},
    "cisco": {"http-error"},
    "ios": set(),
    "juniper": set(),
    "macos": {"ca-key-usage"},
    "micromdm": set(),
    "sscep": {"des-reply"},
    "strongswan": {"caps-no-sha384"},
    "windows": {"http-error"},
}


def test_another_server_is_judged_as_the_clients_judge_it(tmp_path: Path) -> None:
    """It replies in single DES, echoes the nonce, knows one path, and has a CA that may not encipher."""
    with scepserver(tmp_path) as url:
        told = {
            name: enrol(
                PERSONAS[name],
                url,
                subject=Name.from_text(f"CN=persona-{name},O=Interop"),
                key=rsa_key(1),
                challenge="open sesame",
            )
            for name in STOPS
        }

    assert {
        name: {one.finding for one in session.objections if one.refuses} for name, session in told.items()
    } == STOPS
    assert {name for name, session in told.items() if session.certificate} == {"ios", "juniper", "micromdm"}
    assert all(
        "nonce-echoed" in {one.finding for one in told[name].objections} for name in ("ios", "micromdm")
    )
