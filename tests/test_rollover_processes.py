"""A rollover in real processes: devices enrol throughout, and whoever changes the CA may be killed."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from threading import Event
from urllib.request import Request, urlopen

import pytest

from app.cli.init import make_ca
from app.cli.material import Material
from app.client import ScepClient, Transport
from app.client.csr import make_csr, make_identity
from app.clock import utc_now
from app.config import Config
from app.configured_store import open_configured_store
from app.data_folder import DataFolder, touch_private
from app.rollover import abort_next, activate_next, put_next
from app.store.records import NewChallenge
from app.succession import load_ca_certificate, load_succession
from ca.issuing.key_store import encode_private_key
from ca.issuing.root import encode_pem, make_ca_certificate
from ca.policy.challenges import ChallengeKey
from ca.scep.codec import decode_ca_certificates
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from tests.command_line import Service, command, did, run, serving
from tests.interop import peers
from tests.world import SECRET, Device, certificate_of, rsa_key, spki

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
DEVICES = 3


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A CA with one challenge password without limit."""
    folder = DataFolder(tmp_path / "data")
    make_ca(folder, Name.from_text("CN=First"))
    mac = ChallengeKey(folder.load_secret()).mac(SECRET)
    touch_private(folder.database)
    with closing(open_configured_store(folder, Config())) as store:
        challenge = NewChallenge(mac, "default", None, None, utc_now(), None, None)
        store.transact(lambda repository: repository.add_challenge(challenge))
    return folder.path


@pytest.fixture
def service(data: Path, tmp_path: Path) -> Iterator[Service]:
    """A server of two processes."""
    listen = ("--listen", "127.0.0.1:0", "--workers", 2)
    with serving("--data", data, *listen, log=tmp_path / "log") as service:
        yield service


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a device fetched, when it began, and what it got."""

    began: float
    ca: Certificate
    issued: Certificate


def _fetch(service: Service) -> Certificate:
    return decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])[0]


def _enrol(service: Service, ca: Certificate, name: str, key: int = 1) -> Certificate:
    """Write to *ca*; the reply must be its own."""
    device = Device(name, rsa_key(key), signing_time=None)
    message = device.message(ca, transaction_id=name)
    with urlopen(Request(f"{service.url}?operation=PKIOperation", message), timeout=30) as answer:
        return certificate_of(device.read(answer.read(), ca, name))


@dataclass
class Fleet:
    """Devices that enrol one after the other, as fast as they can, until they are told to stop."""

    service: Service
    folder: Path
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(DEVICES + 2))
    stopped: Event = field(default_factory=Event)
    running: list[Future[None]] = field(default_factory=list)
    enrolled: list[Enrolled] = field(default_factory=list)

    def start(self) -> None:
        """Raw messages from several, our own client, and scepclient."""
        for number in range(DEVICES):
            self._repeat(partial(self._by_message, number + 1), f"device-{number}")
        self._repeat(self._by_client, "client")
        if peers.missing(peers.SCEPCLIENT) is None:
            self._repeat(self._by_scepclient, "scepclient")

    def stop(self) -> list[Enrolled]:
        """What all of them got; what failed is raised here."""
        self.stopped.set()
        with self.pool:
            for each in self.running:
                each.result()
        return self.enrolled

    def wait_for(self, moment: float) -> None:
        """Until they have enrolled as often as there are devices, each time begun after that *moment*."""
        while sum(one.began > moment for one in self.enrolled) < len(self.running):
            if any(one.done() for one in self.running):
                # Stopping tells why.
                return
            time.sleep(0.02)

    def _repeat(self, enrol: Callable[[str], tuple[Certificate, Certificate]], name: str) -> None:
        def work() -> None:
            number = 0
            while not self.stopped.is_set():
                self.enrolled.append(Enrolled(time.monotonic(), *enrol(f"{name}-{number}")))
                number += 1

        self.running.append(self.pool.submit(work))

    def _by_message(self, key: int, name: str) -> tuple[Certificate, Certificate]:
        ca = _fetch(self.service)
        return ca, _enrol(self.service, ca, name, key)

    def _by_client(self, name: str) -> tuple[Certificate, Certificate]:
        subject, key = Name.from_text(f"CN={name}").for_builder(), rsa_key(5)
        client = ScepClient(Transport(self.service.url))
        issued = client.enrol(make_csr(subject, (), key, SECRET), spki(key), make_identity(subject, key))
        return client.roles.issuer, issued

    def _by_scepclient(self, name: str) -> tuple[Certificate, Certificate]:
        home = self.folder / name
        home.mkdir()
        files = ("-private-key", str(home / "key.pem"), "-certificate", str(home / "cert.pem"))
        asking = ("-server-url", self.service.url, "-challenge", SECRET, "-cn", name)
        done = subprocess.run(
            ["scepclient", *asking, *files], capture_output=True, text=True, check=False, cwd=home
        )
        assert done.returncode == 0, done.stdout + done.stderr
        made = subprocess.run(
            ["openssl", "x509", "-in", str(home / "cert.pem"), "-outform", "DER"],
            capture_output=True,
            check=True,
        )
        issued = Certificate.load(made.stdout)
        # It keeps no CA certificate; which one it had fetched, the issuer tells.
        cas = {ca.subject_der: ca for ca in self.known()}
        return cas[issued.issuer_der], issued

    def known(self) -> list[Certificate]:
        """Every CA of the folder."""
        return [load_ca_certificate(one) for one in DataFolder(self.folder / "data").cas.all()]


def _check_chains(folder: Path, enrolled: list[Enrolled]) -> None:
    """Let OpenSSL verify each certificate against the CA that its device fetched, and no other."""
    for number, ca in enumerate({one.ca.der: one.ca for one in enrolled}.values()):
        anchor = folder / f"ca-{number}.pem"
        anchor.write_bytes(encode_pem(ca))
        paths = []
        for place, one in enumerate(one for one in enrolled if one.ca.der == ca.der):
            paths.append(folder / f"{number}-{place}.pem")
            paths[-1].write_bytes(encode_pem(one.issued))
        verify = ["openssl", "verify", "-no-CApath", "-CAfile", str(anchor), *map(str, paths)]
        done = subprocess.run(verify, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(": OK") == len(paths)


@pytest.mark.proves("R-5.1-a", "R-2.2-e")
def test_devices_enrol_at_full_speed_throughout_a_rollover(
    data: Path, service: Service, tmp_path: Path
) -> None:
    """No request fails, none gets a certificate of a CA that it does not know, and each chain verifies.

    One next CA is given up in the midst of it, and the second one becomes the CA of today. What a
    verb has done counts from its end on, in whichever process.
    """
    first, fleet = _fetch(service), Fleet(service, tmp_path)
    fleet.start()
    did("ca", "rollover", "prepare", "--data", data, "--subject", "CN=Given up")
    given_up = _announced(service)
    ahead = [_enrol(service, given_up, "ahead-of-none")]
    did("ca", "rollover", "abort", "--data", data)
    did("ca", "rollover", "prepare", "--data", data, "--subject", "CN=Second")
    second = _announced(service)
    ahead.append(_enrol(service, second, "ahead"))
    activating = time.monotonic()
    did("ca", "rollover", "activate", "--data", data)
    activated = time.monotonic()
    fleet.wait_for(activated)
    enrolled = fleet.stop()

    assert len(enrolled) > 10 * DEVICES
    _check_chains(tmp_path, enrolled)
    fetched = {one.ca.der for one in enrolled}
    assert fetched == {first.der, second.der}
    assert {one.ca.der for one in enrolled if one.began > activated} == {second.der}
    assert {one.issued.issuer_der for one in enrolled if one.began < activating - 1} == {first.subject_der}
    assert [one.issuer_der for one in ahead] == [given_up.subject_der, second.subject_der]
    listed = json.loads(did("cert", "list", "--json", "--data", data))
    issued = [*(one.issued for one in enrolled), *ahead]
    assert len(listed) == len(issued) == len({one.serial_number for one in issued})
    assert service.process.poll() is None
    assert "Traceback" not in service.log


def test_an_approval_after_the_change_is_one_certificate_of_the_new_ca(data: Path, tmp_path: Path) -> None:
    """The device asked before the change and comes back after it, with the CA that it fetched anew."""
    (data / "scepbox.toml").write_text('[profiles.default]\napproval = "manual"\n')
    (tmp_path / "key.pem").write_bytes(encode_private_key(rsa_key(5)))
    into = ("--subject", "CN=printer", "--key", tmp_path / "key.pem", "--out", tmp_path / "printer")
    with serving("--data", data, "--listen", "127.0.0.1:0", log=tmp_path / "log") as service:
        ask = partial(run, "enroll", service.url, *into, "--max-polls", 0, "--challenge", "-", stdin=SECRET)
        before = ask()
        did("ca", "rollover", "prepare", "--data", data)
        did("ca", "rollover", "activate", "--data", data)
        after = ask()
        serial = did("request", "approve", 1, "--data", data).strip()
        fetched = ask()

    assert (before.code, after.code, fetched.code) == (1, 1, 0), (before, after, fetched)
    (listed,) = json.loads(did("cert", "list", "--json", "--data", data))
    assert listed["serial"] == serial
    assert f"serial {serial}" in fetched.err


def _announced(service: Service) -> Certificate:
    """The next CA, as OpenSSL reads it out of what the CA of today has signed."""
    media_type, body = service.get("/scep?operation=GetNextCACert")
    assert media_type == "application/x-x509-next-ca-cert"
    anchor = service.log_file.parent / "anchor.pem"
    anchor.write_bytes(encode_pem(_fetch(service)))
    verify = ["openssl", "cms", "-verify", "-inform", "DER", "-CAfile", str(anchor), "-purpose", "any"]
    opened = subprocess.run(verify, input=body, capture_output=True, check=False)
    assert opened.returncode == 0, opened.stderr
    (inside,) = decode_ca_certificates(opened.stdout)
    return inside


def test_a_verb_that_is_killed_leaves_one_state_or_the_other(data: Path, service: Service) -> None:
    """Whenever it is killed: the server serves on, and the next verb finds what there is."""
    for number, delay in enumerate((0.2, 0.35, 0.45, 0.5, 0.55, 0.6, 0.7)):
        has_next = DataFolder(data).cas.has_next
        verb = ("activate" if number % 2 else "abort") if has_next else "prepare"
        process = subprocess.Popen(command("ca", "rollover", verb, "--data", data), stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        process.wait()

        ca = _fetch(service)
        assert ca.der == load_succession(DataFolder(data), utc_now())[0].current.certificate.der
        assert _enrol(service, ca, f"after-{number}").issuer_der == ca.subject_der
    if not DataFolder(data).cas.has_next:
        did("ca", "rollover", "prepare", "--data", data)
    assert run("ca", "rollover", "activate", "--data", data).code == 0


@pytest.mark.parametrize("change", ["prepare", "activate", "abort"])
def test_a_change_that_is_killed_at_any_step_is_whole_or_none(data: Path, change: str) -> None:
    """At each single call that writes, names or renames something, one after the other."""
    folder = DataFolder(data)
    made = make_ca_certificate(Name.from_text("CN=Second"), rsa_key(6), 10, utc_now())
    files = Material(Certificate.load(made), rsa_key(6)).files()
    work: dict[str, Callable[[], None]] = {
        "prepare": lambda: put_next(folder, files),
        "activate": lambda: activate_next(folder, utc_now()),
        "abort": lambda: abort_next(folder),
    }
    if change != "prepare":
        put_next(folder, files)
    before = folder.cas
    for step in count():
        pid = os.fork()
        if not pid:
            _die_at(step)
            work[change]()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        cas, _ = load_succession(folder, utc_now())
        assert len(cas.all()) in (len(before.all()), len(before.all()) + (change == "prepare"))
        if folder.cas != before:
            break
        assert os.WIFSIGNALED(status)
        assert step < 50

    assert folder.cas.has_next == (change == "prepare")
    assert str(cas.current.certificate.subject) == ("CN=Second" if change == "activate" else "CN=First")
    # Half an hour's leftovers are nobody's concern; nothing of them counts as a CA.
    assert len(folder.cas.all()) == 2


def test_the_key_that_a_killed_verb_leaves_is_cleared_away_by_the_next(data: Path) -> None:
    """It is of a CA that never was; who is killed cannot do it himself."""
    folder = DataFolder(data)
    files = {"ca.key": b"a key", "ca.pem": b"a certificate"}
    pid = os.fork()
    if not pid:
        _die_at(4)
        put_next(folder, files)
        os._exit(0)
    os.waitpid(pid, 0)
    left = list(data.rglob("ca.key*"))
    did("ca", "rollover", "prepare", "--data", data)
    young = [path for path in left if path.exists()]

    for path in data.glob("ca.new-*"):
        os.utime(path, (0, 0))
    did("ca", "rollover", "activate", "--data", data)

    # Another verb may just be at work on what is young.
    assert young == left != [data / "ca" / "ca.key"]
    assert sorted(path.parent.name for path in data.rglob("ca.key*")) == ["2", "ca"]


def _die_at(step: int) -> None:
    """Have this process be killed before that call which changes something on the disk."""
    calls = count()

    def watch(name: str) -> None:
        real = getattr(os, name)

        def dying(*arguments: object, **named: object) -> object:
            if next(calls) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        setattr(os, name, dying)

    for name in ("link", "rename", "replace", "fsync", "unlink", "open", "mkdir"):
        watch(name)
