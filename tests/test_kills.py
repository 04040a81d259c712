"""kill -9 at random moments under load: what was answered is kept, and the next start needs no hand.

``SCEPBOX_KILLS=300 python tests/run.py tests/test_kills.py`` does it three hundred times on each database.
"""

import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.data_folder import DataFolder
from app.store import open_store
from app.store.records import NewChallenge
from ca.deviations import Deviations
from ca.policy.challenges import ChallengeKey
from ca.scep import codec
from ca.scep.messages import Failure, Outcome, Transaction
from ca.x509.certificate import Certificate
from tests.command_line import Service, run, serving
from tests.databases import PostgresServer, require_postgresql, start_server
from tests.forging_csr import challenge, csr, spki_of, subject
from tests.processes import children
from tests.world import NONCE, NOW, Device, certificate_of

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing is killed like that here")
ROUNDS = int(os.environ.get("SCEPBOX_KILLS", "4"))
DEVICES = 60
CONNECTIONS = 8
PATIENCE_SECONDS = 60
KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(8)]
# Signs and opens for all of them.
DEVICE = Device(signing_time=None)


@dataclass
class House:
    """A CA, its database and what listens; whatever is killed is started again in the same way."""

    folder: Path
    database: PostgresServer | None
    stack: ExitStack
    service: Service = field(init=False)

    @property
    def url(self) -> str:
        """The address of the database."""
        return self.database.url("scepbox") if self.database else f"sqlite:///{self.folder}/data/scepbox.db"

    @property
    def environment(self) -> dict[str, str]:
        """What points the program to it."""
        return {"SCEPBOX_DATABASE__URL": self.url}

    def start(self) -> None:
        """Start the server, as a service manager does."""
        log = self.folder / f"log-{time.monotonic_ns()}"
        arguments = ("serve", "--data", self.folder / "data", "--listen", "127.0.0.1:0", "--workers", 2)
        self.service = self.stack.enter_context(serving(*arguments, log=log, environment=self.environment))

    def kill_server(self) -> None:
        """The whole of it at once, and start it again."""
        process = self.service.process
        for pid in (process.pid, *children(process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(30)
        self.start()

    def kill_worker(self) -> None:
        """One of its processes; the others go on."""
        workers = children(self.service.process.pid)
        if workers:
            os.kill(random.choice(workers), signal.SIGKILL)

    def kill_database(self) -> None:
        """PostgreSQL, which is started again on what it left."""
        assert self.database
        self.database.kill()
        self.database = start_server(self.database.folder, self.database.port, durable=True)

    def kept(self) -> dict[str, list[Certificate]]:
        """What the database has, by subject."""
        with closing(open_store(self.url)) as store:
            found = store.transact(lambda repository: list(repository.list_certificates(NOW)))
        kept: dict[str, list[Certificate]] = {}
        for one in found:
            kept.setdefault(one.subject, []).append(Certificate.load(one.der))
        return kept

    def uses_left(self) -> list[int | None]:
        """Of every challenge."""
        with closing(open_store(self.url)) as store:
            return [one.uses_left for one in store.transact(lambda repository: repository.list_challenges())]

    def ask(self, message: bytes, *, seconds: float = 10) -> bytes | None:
        """Send *message* once; None where no whole answer came."""
        connection = HTTPConnection(urlsplit(self.service.url).netloc, timeout=seconds)
        try:
            connection.request("POST", "/scep?operation=PKIOperation", message)
            answer = connection.getresponse()
            return answer.read() if answer.status == 200 else None
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()


@dataclass
class Applicant:
    """A device with a challenge password of its own, and the answers that it has got so far."""

    name: str
    key: ec.EllipticCurvePrivateKey
    message: bytes
    got: set[bytes] = field(default_factory=set)

    def take(self, reply: bytes, ca: Certificate) -> Outcome:
        """Read a reply, and keep the certificate in it."""
        expected = codec.Expectation(Transaction(self.name, NONCE), (ca,), spki_of(self.key))
        outcome = codec.decode_cert_rep(reply, expected, DEVICE.certificate(), DEVICE.key, Deviations())
        if not isinstance(outcome, Failure):
            self.got.add(certificate_of(outcome).der)
        return outcome


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """One CA on each of the databases, both durable."""
    database = None
    if request.param == "postgresql":
        require_postgresql()
        database = start_server(durable=True)
        database.do("CREATE DATABASE scepbox TEMPLATE template0 ENCODING 'UTF8'")
    with ExitStack() as stack:
        house = House(tmp_path, database, stack)
        done = run("init", "--data", tmp_path / "data", environment=house.environment)
        assert done.code == 0, done.err
        house.start()
        yield house
    if house.database:
        house.database.stop()
        house.database.remove()


def applicants(house: House, ca: Certificate, numbers: Sequence[int]) -> list[Applicant]:
    """Devices, each with a challenge password that is good once."""
    challenge_key = ChallengeKey(DataFolder(house.folder / "data").load_secret())
    made, records = [], []
    for number in numbers:
        name, secret, key = f"device-{number}", f"the secret of {number}", KEYS[number % len(KEYS)]
        records.append(NewChallenge(challenge_key.mac(secret), "default", 1, None, NOW))
        payload = csr(challenge(secret), key=key, subject_der=subject(name))
        made.append(Applicant(name, key, DEVICE.message(ca, payload, transaction_id=name)))
    with closing(open_store(house.url)) as store:
        store.transact(lambda repository: repository.add_challenges(records))
    return made


def test_whatever_is_killed_nothing_is_lost(house: House) -> None:
    """Every answered certificate is kept, none is there twice, and every challenge gets its device one."""
    victims = [house.kill_server, house.kill_worker, *([house.kill_database] if house.database else [])]
    ca = codec.decode_ca_certificates(house.service.get("/scep?operation=GetCACert")[1])[0]
    numbers, unanswered, everybody = count(), 0, list[Applicant]()
    for turn in range(ROUNDS):
        crowd = applicants(house, ca, [next(numbers) for _ in range(DEVICES)])
        everybody += crowd
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            asking = [pool.submit(_ask_once, house, one, ca) for one in crowd]
            time.sleep(random.uniform(0, 0.4))
            victims[turn % len(victims)]()
            for asked in asking:
                asked.result()

        kept = house.kept()
        for one in crowd:
            of_one = {certificate.der for certificate in kept.get(f"CN={one.name}", [])}
            assert one.got <= of_one, f"{one.name} has a certificate that the database does not have"
            unanswered += not one.got
        for one in crowd:
            _ask_until_answered(house, one, ca)

    kept = house.kept()
    assert {name: len(certificates) for name, certificates in kept.items()} == {
        f"CN={one.name}": 1 for one in everybody
    }
    assert [{one.der for one in kept[f"CN={device.name}"]} for device in everybody] == [
        device.got for device in everybody
    ]
    serials = [one.serial_number for certificates in kept.values() for one in certificates]
    assert len(set(serials)) == len(serials)
    assert house.uses_left() == [0] * len(everybody)
    verified = run("log", "verify", "--data", house.folder / "data", environment=house.environment)
    assert verified.code == 0, verified.err
    # Else nothing was killed in the midst of anything.
    assert 0 < unanswered < len(everybody)


def _ask_once(house: House, applicant: Applicant, ca: Certificate) -> None:
    reply = house.ask(applicant.message)
    if reply is not None:
        applicant.take(reply, ca)


def _ask_until_answered(house: House, applicant: Applicant, ca: Certificate) -> None:
    """As a device does that has heard nothing, or that the server is busy."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        reply = house.ask(applicant.message)
        if reply is not None:
            outcome = applicant.take(reply, ca)
            assert not isinstance(outcome, Failure), f"{applicant.name}: {outcome}"
            return
        time.sleep(0.05)
    raise AssertionError(f"{applicant.name} gets no answer")
