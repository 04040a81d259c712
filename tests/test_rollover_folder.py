"""The CAs of a data folder: changed by one renaming each, and taken in by whoever serves them."""

import io
import itertools
import json
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from threading import Barrier
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.ca_folder import CaFolder
from app.cli.init import make_ca
from app.cli.main import top
from app.clock import utc_now
from app.config import Config
from app.configured_store import open_configured_store
from app.data_folder import LEFTOVER_SECONDS, DataFolder, touch_private
from app.http.live import LiveApplication
from app.rollover import CaWatch, NoNextCa, abort_next, activate_next, put_next
from app.store.records import NewChallenge
from app.succession import load_ca_certificate, load_succession
from app.wiring import build_web
from ca.issuing.addresses import public_name
from ca.issuing.key_store import encode_private_key, read_private_key
from ca.issuing.root import encode_pem, make_ca_certificate
from ca.pkcs7 import SignedData
from ca.policy.challenges import ChallengeKey
from ca.scep.codec import decode_ca_certificates
from ca.scep.messages import Failure, MessageType, Outcome
from ca.x509.certificate import Certificate
from tests.backing_up import run_sql, sqlite_of
from tests.test_unit_ca_material import ca_certificate
from tests.world import NOW, SECRET, Device, captured_log, certificate_of, rsa_key

NEXT_CA = "application/x-x509-next-ca-cert"


@dataclass
class Site:
    """A data folder and what serves it, as ``serve`` puts it together."""

    folder: DataFolder
    live: LiveApplication
    close: Callable[[], None]

    @classmethod
    def start(cls, folder: DataFolder) -> "Site":
        config = Config()
        touch_private(folder.database)
        store = open_configured_store(folder, config)
        key = ChallengeKey(folder.load_secret())
        challenge = NewChallenge(key.mac(SECRET), "default", None, None, datetime.now(UTC), None, None)
        store.transact(lambda repository: repository.add_challenge(challenge))

        def build() -> Any:
            return build_web(load_succession(folder, utc_now())[0], config, store, key, "http://ca.example")

        return cls(folder, LiveApplication(build, CaWatch(folder)), store.close)

    def get(self, target: str, body: bytes | None = None) -> tuple[int, str, bytes]:
        """Status, media type and body of what is at *target*."""
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": query}
        if body is not None:
            environ |= {
                "REQUEST_METHOD": "POST",
                "CONTENT_LENGTH": str(len(body)),
                "wsgi.input": io.BytesIO(body),
            }
        setup_testing_defaults(environ)
        told: list[tuple[int, str]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
            told.append((int(status[:3]), dict(headers).get("Content-Type", "")))

        answer = b"".join(self.live(environ, start_response))
        return *told[0], answer

    def shown(self) -> list[Certificate]:
        """What GetCACert gives."""
        return list(decode_ca_certificates(self.get("/scep?operation=GetCACert")[2]))

    def announced(self) -> SignedData:
        """What GetNextCACert gives, its signature verified by what GetCACert gives."""
        status, media_type, body = self.get("/scep?operation=GetNextCACert")
        assert (status, media_type) == (200, NEXT_CA)
        signed = SignedData.load(body)
        assert signed.verify(trusted=()).der == self.shown()[0].der
        return signed

    def enrol(self, ca: Certificate, name: str = "ipad-17") -> Certificate:
        """Enrol with the CA (or RA) of that certificate."""
        device = Device(name, signing_time=None)
        _, _, reply = self.get("/scep?operation=PKIOperation", device.message(ca, transaction_id=name))
        return certificate_of(device.read(reply, ca, name))

    def renew(self, ca: Certificate, old: Certificate, name: str = "ipad-17") -> Outcome:
        """Have a device renew what it enrolled for, with the CA of that certificate."""
        device = Device(name, rsa_key(1), signer=old, signing_time=None)
        message = device.message(
            ca, device.csr(None), transaction_id="renewal", message_type=MessageType.RENEWAL_REQ
        )
        _, _, reply = self.get("/scep?operation=PKIOperation", message)
        return device.read(reply, ca, "renewal")

    def run(self, *arguments: str) -> Result:
        """A verb of the command line."""
        return CliRunner().invoke(top, [*arguments, "--data", str(self.folder.path)])

    def did(self, *arguments: str) -> str:
        """A verb that must succeed, and what it printed."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def current(self) -> Certificate:
        """The CA of today by the files."""
        return load_ca_certificate(self.folder.current_ca)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Path]:
    """Makes a data folder with a CA of each kind once: keys take their time."""

    @cache
    def make(key_type: str, ra: bool) -> Path:
        folder = DataFolder(tmp_path_factory.mktemp("made") / "data")
        make_ca(folder, key_type=key_type, ra=ra)
        return folder.path

    return make


@pytest.fixture
def make(tmp_path: Path, made: Callable[[str, bool], Path]) -> Iterator[Callable[..., Site]]:
    """Makes a site, with a CA of that kind."""
    sites: list[Site] = []

    def start(key_type: str = "rsa:2048", *, ra: bool = False) -> Site:
        folder = DataFolder(tmp_path / "data")
        shutil.copytree(made(key_type, ra), folder.path)
        sites.append(Site.start(folder))
        return sites[-1]

    yield start
    for site in sites:
        site.close()


@pytest.fixture
def site(make: Callable[..., Site]) -> Site:
    """One with an RSA CA."""
    return make()


@pytest.mark.proves("R-2.2-e", "R-4.7-a", "R-3.5.2-f")
def test_the_next_ca_is_announced_while_there_is_one_and_nothing_else_changes(site: Site) -> None:
    """RFC 8894 4.7: the keyword is a promise, before, between and after."""
    before = site.get("/scep?operation=GetCACert"), site.get("/ca.pem"), site.get("/crl")[:2]
    seen = []
    for verbs in ((), ("ca", "rollover", "prepare"), ("ca", "rollover", "abort")):
        if verbs:
            site.did(*verbs)
        words = site.get("/scep?operation=GetCACaps")[2].split()
        seen.append((b"GetNextCACert" in words, site.get("/scep?operation=GetNextCACert")[0]))
        assert (site.get("/scep?operation=GetCACert"), site.get("/ca.pem"), site.get("/crl")[:2]) == before

    assert seen == [(False, 404), (True, 200), (False, 404)]


@pytest.mark.proves("R-4.7.1-a")
@pytest.mark.parametrize(("key_type", "ra"), [("rsa:2048", False), ("rsa:2048", True), ("ec:p256", False)])
def test_what_is_announced_is_what_getcacert_gives_after_the_change(
    make: Callable[..., Site], key_type: str, ra: bool
) -> None:
    """Signed by what GetCACert shows today, and there twice: in the content and beside the signature."""
    site = make(key_type, ra=ra)
    signer = site.shown()[0]
    site.did("ca", "rollover", "prepare")

    signed = site.announced()
    inside = decode_ca_certificates(signed.data)
    site.did("ca", "rollover", "activate")

    assert signed.content_type == "1.2.840.113549.1.7.1"
    assert [one.der for one in inside] == [one.der for one in site.shown()]
    assert {one.der for one in signed.certificates} == {signer.der, *(one.der for one in inside)}
    assert len(inside) == (1 if key_type == "rsa:2048" and not ra else 2)
    enrolled, under_way = site.enrol(site.shown()[0]), site.enrol(signer, "under way")
    assert enrolled.issuer_der == site.shown()[-1].subject_der
    assert under_way.issuer_der == (signer.issuer_der if len(inside) == 2 else signer.subject_der)


def test_the_announcement_is_signed_once_an_hour(site: Site) -> None:
    """Whoever likes may ask for it, and a signature costs as much as an enrolment."""
    site.did("ca", "rollover", "prepare")

    first, second = (site.get("/scep?operation=GetNextCACert") for _ in range(2))

    assert first == second


def test_each_ca_keeps_its_addresses(site: Site) -> None:
    """RFC 5280 4.2.1.13: what a certificate names must tell of its own CA for as long as it lives."""
    old = site.current()
    before = site.enrol(old, "before")
    site.did("ca", "rollover", "prepare")
    ahead = site.enrol(decode_ca_certificates(site.announced().data)[0], "ahead")
    site.did("ca", "rollover", "activate")
    new = site.current()
    after = site.enrol(new, "after")
    site.did("cert", "revoke", f"{before.serial_number:x}")
    site.did("crl", "publish")

    for issued, ca in ((before, old), (ahead, new), (after, new)):
        points, issuer = _addresses(issued)
        crl = x509.load_der_x509_crl(site.get(points)[2])
        key = x509.load_der_x509_certificate(ca.der).public_key()
        assert crl.is_signature_valid(key)  # type: ignore[arg-type]
        assert (crl.get_revoked_certificate_by_serial_number(before.serial_number) is None) == (ca is new)
        assert site.get(issuer) == (200, "application/pkix-cert", ca.der)
    assert site.get("/ca.cer")[2] == new.der
    assert x509.load_der_x509_crl(site.get("/crl")[2]).issuer.public_bytes() == new.subject_der
    for unknown in ("/crl/0123456789abcdef.crl", "/ca/0123456789abcdef.cer"):
        assert site.get(unknown)[:2] == (404, "text/plain")


def _addresses(certificate: Certificate) -> tuple[str, str]:
    """The paths of its CRL and of its CA's certificate."""
    read = x509.load_der_x509_certificate(certificate.der).extensions
    points = read.get_extension_for_class(x509.CRLDistributionPoints).value
    access = read.get_extension_for_class(x509.AuthorityInformationAccess).value
    urls = [str(points[0].full_name[0].value), str(access[1].access_location.value)]
    return urls[0].removeprefix("http://ca.example"), urls[1].removeprefix("http://ca.example")


def test_show_and_crl_show_have_every_ca(site: Site) -> None:
    """What an administrator compares before and after the change."""
    first = site.current().fingerprint()
    site.did("ca", "rollover", "prepare", "--subject", "CN=Second", "--key-type", "ec:p256", "--years", "3")
    prepared = json.loads(site.did("ca", "show", "--json"))
    site.did("ca", "rollover", "activate")
    site.did("ca", "rollover", "prepare", "--no-ra", "--key-type", "rsa:2048")
    site.did("ca", "rollover", "abort")
    shown = json.loads(site.did("ca", "show", "--json"))
    site.did("crl", "publish")

    assert (prepared["sha256"], prepared["next"]["subject"]) == (first, "CN=Second")
    assert (prepared["next"]["key"], len(prepared["next"]["ra"]), prepared["former"]) == ("ec:p256", 1, [])
    assert (shown["subject"], shown["next"]) == ("CN=Second", None)
    assert [(one["sha256"], one["aborted"]) for one in shown["former"]][:1] == [(first, False)]
    assert [(one["subject"], one["aborted"]) for one in shown["former"]][1:] == [("CN=Second G2", True)]
    words = site.did("ca", "show")
    assert words.index("a former CA:") < words.index("a CA that was prepared and given up:")
    lists = json.loads(site.did("crl", "show", "--json"))
    assert lists["issuer"] == "CN=Second"
    assert [one["issuer"] for one in lists["others"]][1:] == ["CN=Second G2"]
    assert "CN=Second G2" in site.did("crl", "show")
    assert site.did("ca", "export") == encode_pem(site.current()).decode()


def test_the_next_ca_of_an_ra_has_one_too(make: Callable[..., Site]) -> None:
    """As the CA of today, unless told otherwise; shown under its heading."""
    site = make(ra=True)
    site.did("ca", "rollover", "prepare")

    words = site.did("ca", "show")

    assert words.count("registration authority (RA):") == 2
    assert words.index("the next CA:") > words.index("registration authority (RA):")


def test_a_ca_can_be_brought_along(site: Site, tmp_path: Path) -> None:
    """As ``init`` does: one that a root elsewhere has issued, with its chain."""
    root = ca_certificate(rsa_key(5), "Root", subject="Root", days=_days_from_now(30))
    made = ca_certificate(rsa_key(6), "Root", rsa_key(5), subject="Issuing", days=_days_from_now(30))
    (tmp_path / "cert.pem").write_bytes(encode_pem(made) + encode_pem(root))
    (tmp_path / "key.pem").write_bytes(encode_private_key(rsa_key(6)))
    bring = ("--import-cert", str(tmp_path / "cert.pem"), "--import-key", str(tmp_path / "key.pem"))

    site.did("ca", "rollover", "prepare", *bring)
    inside = decode_ca_certificates(site.announced().data)
    site.did("ca", "rollover", "activate")
    alone = site.run("ca", "rollover", "prepare")
    same = site.run("ca", "rollover", "prepare", *bring)
    half = site.run("ca", "rollover", "prepare", *bring[:2])

    assert [one.der for one in inside] == [made.der, root.der]
    assert [one.der for one in site.shown()] == [made.der, root.der]
    assert "another CA issued this one" in alone.stderr
    assert "is a CA of this folder already" in same.stderr
    assert "belong together" in half.stderr
    assert (alone.exit_code, same.exit_code, half.exit_code) == (2, 2, 2)


def test_a_new_certificate_for_the_same_ca_is_no_other_ca(site: Site, tmp_path: Path) -> None:
    """Same name, same key: the window for renewals holds as before, and there is one CRL of it."""
    key = read_private_key(site.folder.ca_key)
    assert isinstance(key, rsa.RSAPrivateKey)
    before = site.current()
    renewed = make_ca_certificate(before.subject, key, 15, utc_now())
    (tmp_path / "cert.pem").write_bytes(encode_pem(Certificate.load(renewed)))
    bring = ("--import-cert", str(tmp_path / "cert.pem"), "--import-key", str(site.folder.ca_key))
    issued = site.enrol(before)
    site.did("ca", "rollover", "prepare", *bring)
    early = [site.renew(ca, issued) for ca in (before, Certificate.load(renewed))]
    site.did("ca", "rollover", "activate")

    late = [site.renew(ca, issued) for ca in (before, site.current())]
    site.did("cert", "revoke", f"{issued.serial_number:x}")
    published = site.run("crl", "publish").stderr
    shown = json.loads(site.did("crl", "show", "--json"))

    assert site.current().der == renewed
    for outcome in (*early, *late):
        assert isinstance(outcome, Failure)
        assert "too early to renew" in outcome.text
    assert published.count("CRL ") == 1
    assert (len(shown["revoked"]), shown["others"]) == (1, [])
    assert site.get(f"/crl/{public_name(before)}.crl")[2] == site.get("/crl")[2]


def test_a_revocation_names_what_the_other_ca_granted(site: Site) -> None:
    """One request, one password, and two certificates: the stolen key still has the other."""
    site.did("ca", "rollover", "prepare", "--subject", "CN=Second")
    old, new = site.current(), decode_ca_certificates(site.announced().data)[0]
    one, twin = (site.enrol(ca) for ca in (old, new))
    site.did("ca", "rollover", "activate")
    listed = {row["serial"]: row for row in json.loads(site.did("cert", "list", "--json"))}

    told = site.run("cert", "revoke", f"{one.serial_number:x}", "--reason", "keyCompromise").stderr
    again = site.run("cert", "revoke", f"{twin.serial_number:x}", "--reason", "keyCompromise").stderr

    (note,) = told.splitlines()[1:]
    assert note.startswith("note: another one for the same key, by CN=Second, is good until ")
    assert f"cert revoke {twin.serial_number:x} --reason keyCompromise" in note
    assert again.count("\n") == 1
    issuers = [listed[f"{each.serial_number:x}"]["issuer"] for each in (one, twin)]
    assert issuers == [str(old.subject), "CN=Second"]
    shown = site.did("cert", "show", f"{twin.serial_number:x}")
    assert "issuer            CN=Second\n" in shown
    assert f"authority_key_id  {new.subject_key_identifier.hex()}\n" in shown
    assert [line.split("\t")[-1] for line in site.did("cert", "list").splitlines()].count("CN=Second") == 1


def _days_from_now(days: int) -> int:
    """So many days from now, from the time in which the tests' certificates begin."""
    return (datetime.now(UTC) - NOW).days + days


def test_a_key_that_cannot_be_made_here_has_to_be_said(tmp_path: Path) -> None:
    """A CA of a kind that was brought along has no successor by default."""
    key = ec.generate_private_key(ec.SECP521R1())
    made = ca_certificate(key, "Odd", subject="Odd", days=_days_from_now(30))
    folder = DataFolder(tmp_path)
    folder.put_ca({"ca.pem": encode_pem(made), "ca.key": encode_private_key(key)})

    result = CliRunner().invoke(top, ["ca", "rollover", "prepare", "--data", str(tmp_path)])

    assert result.exit_code == 2
    assert "(ec:p521) can be made here: give --key-type" in result.stderr


IGNORED = {
    "--no-ra for an EC key": (
        (),
        ("--key-type", "ec:p256", "--no-ra"),
        "--no-ra: a CA with an EC key always has",
    ),
    "a name for one that has its own": (("cert", "key"), ("--subject", "CN=Wanted"), "leave out --subject"),
    "all that makes one": (
        ("cert", "key"),
        ("--years", "3", "--key-type", "ec:p384"),
        "a CA that is brought along has its own: leave out --key-type and --years",
    ),
    "a chain for one that is made": (("chain",), (), "leave out --import-chain"),
}


@pytest.mark.parametrize("case", IGNORED)
def test_what_would_be_ignored_is_refused(site: Site, tmp_path: Path, case: str) -> None:
    """Whoever gives an option believes that it counts."""
    bring, options, words = IGNORED[case]
    made = ca_certificate(rsa_key(6), "Good", subject="Good", days=_days_from_now(30))
    (tmp_path / "cert").write_bytes(encode_pem(made))
    (tmp_path / "chain").write_bytes(encode_pem(made))
    (tmp_path / "key").write_bytes(encode_private_key(rsa_key(6)))
    brought = [part for name in bring for part in (f"--import-{name}", str(tmp_path / name))]

    result = site.run("ca", "rollover", "prepare", *brought, *options)

    assert (result.exit_code, site.folder.cas.has_next) == (2, False)
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


REFUSED = {
    "a second next CA": (("prepare", "prepare"), "a next CA is prepared already"),
    "nothing to activate": (("activate",), "no next CA is prepared"),
    "nothing to give up": (("abort",), "no next CA is prepared"),
    "twice activated": (("prepare", "activate", "activate"), "no next CA is prepared"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_one_line_with_the_next_step(site: Site, case: str) -> None:
    """Exit code 1: it ran, and was refused."""
    verbs, words = REFUSED[case]

    *_, last = [site.run("ca", "rollover", verb) for verb in verbs]

    assert last.exit_code == 1
    assert words in last.stderr
    assert "ca rollover" in last.stderr
    assert last.stderr.count("\n") <= 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_the_keys_of_every_ca_are_their_owner_s_alone(make: Callable[..., Site]) -> None:
    """From their first octet, and whatever their folder is called."""
    site = make(ra=True)
    for verb in ("prepare", "activate", "prepare", "abort", "prepare"):
        site.did("ca", "rollover", verb)

    files = [path for path in site.folder.ca.rglob("*") if path.is_file()]
    folders = [path for path in site.folder.ca.rglob("*") if path.is_dir()]

    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert sorted(path.name for path in folders) == ["2", "aborted-1", "next"]


def test_of_many_who_change_it_at_once_one_does(site: Site) -> None:
    """Activated or given up, and never half of each."""
    for _ in range(5):
        site.did("ca", "rollover", "prepare")
        numbers = len(site.folder.cas.all())
        barrier = Barrier(6)

        def change(number: int, barrier: Barrier = barrier) -> bool:
            barrier.wait()
            try:
                if number % 2:
                    activate_next(site.folder, utc_now())
                else:
                    abort_next(site.folder)
            except NoNextCa:
                return False
            return True

        with ThreadPoolExecutor(6) as pool:
            done = list(pool.map(change, range(6)))

        assert sum(done) == 1
        assert len(site.folder.cas.all()) == numbers
        assert not site.folder.cas.has_next
        load_succession(site.folder, utc_now())


def test_of_two_next_cas_the_first_stays(site: Site) -> None:
    """The second is told, and leaves nothing behind."""
    site.did("ca", "rollover", "prepare")
    files = {path.name: path.read_bytes() for path in site.folder.cas.next.path.iterdir()}

    with pytest.raises(FileExistsError):
        put_next(site.folder, {"ca.pem": b"another"})

    assert {path.name: path.read_bytes() for path in site.folder.cas.next.path.iterdir()} == files
    assert not list(site.folder.path.glob("ca.new-*"))


def test_an_activation_that_was_killed_is_none(site: Site) -> None:
    """Between its two steps nothing has changed: the second one decides."""
    site.did("ca", "rollover", "prepare")
    site.folder.cas.next.activated.write_text("2020-01-01T00:00:00+00:00\n")
    before = site.current().der

    assert site.shown()[0].der == before
    site.did("ca", "rollover", "activate")

    assert site.current().der != before
    activated = datetime.fromisoformat(site.folder.current_ca.activated.read_text().strip())
    assert datetime.now(UTC) - activated < timedelta(minutes=1)


def test_a_ca_that_has_ended_is_looked_at_no_more(site: Site) -> None:
    """Nothing that it issued can be valid; and the server starts without it."""
    site.did("ca", "rollover", "prepare", "--years", "20")
    site.did("ca", "rollover", "activate")

    later = load_succession(site.folder, site.current().not_valid_before + timedelta(days=15 * 365))[0]

    assert later.former == ()


def test_an_expired_ca_can_be_replaced(site: Site) -> None:
    """The way out of it must not need what it is the way out of."""
    old = ca_certificate(rsa_key(5), "Old", subject="Old", days=-1)
    run_sql(sqlite_of(site.folder.path), "DELETE FROM authority")
    site.folder.ca_key.write_bytes(encode_private_key(rsa_key(5)))
    site.folder.ca_certificate.write_bytes(encode_pem(old))

    site.did("ca", "rollover", "prepare")
    site.did("ca", "rollover", "activate")

    assert str(site.shown()[0].subject) == "CN=Old G2"


def test_a_change_that_cannot_be_loaded_leaves_what_there_was(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is spoilt ends no service; it is tried again, and told each time."""
    before = site.shown()[0].der
    site.did("ca", "rollover", "prepare")
    key = site.folder.cas.next.key
    pem = key.read_bytes()
    key.write_bytes(b"spoilt")
    activate_next(site.folder, utc_now())
    clock = itertools.count(1000)
    monkeypatch.setattr("app.http.live.time.monotonic", lambda: float(next(clock)))

    with captured_log("app.http.live") as lines:
        assert [site.shown()[0].der for _ in range(2)] == [before] * 2
    site.folder.current_ca.key.write_bytes(pem)

    assert site.shown()[0].der == site.current().der != before
    assert len(lines) == 2
    assert "cannot be taken in" in lines[0]


def test_what_cannot_be_built_is_not_tried_at_every_request() -> None:
    """A flood must not have the files read at its own rate."""
    versions = iter([1, 2, 3, 4])
    tries: list[int] = []

    def build() -> Any:
        tries.append(1)
        if len(tries) > 1:
            raise OSError("spoilt")
        return lambda *_: [b"first"]

    live = LiveApplication(build, lambda: next(versions))
    logging.getLogger("app.http.live").disabled = True
    try:
        answers = [live({}, lambda *_: lambda _: None) for _ in range(3)]
    finally:
        logging.getLogger("app.http.live").disabled = False

    assert answers == [[b"first"]] * 3
    assert len(tries) == 2


def test_a_change_is_seen_where_folders_do_not_tell_of_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT keeps no time of folders: there it takes a second."""
    now = [0.0]
    monkeypatch.setattr("app.rollover.time.monotonic", lambda: now[0])
    watch = CaWatch(site.folder)
    before, times = watch(), os.stat(site.folder.ca)
    site.did("ca", "rollover", "prepare")
    os.utime(site.folder.ca, ns=(times.st_atime_ns, times.st_mtime_ns))

    unseen = watch()
    now[0] = 1.0

    assert unseen == before
    assert watch() != before


def test_a_running_server_clears_away_what_killed_verbs_left(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may run for a year, and private keys lie in there."""
    now = [time.monotonic() + 10]
    monkeypatch.setattr("app.rollover.time.monotonic", lambda: now[0])
    left = (site.folder.path / "ca.new-1", site.folder.ca / "ra-2.key.new-1")
    left[0].mkdir()
    (left[0] / "ca.key").touch()
    left[1].touch()
    site.shown()
    young = [path.exists() for path in left]

    for path in left:
        os.utime(path, (0, 0))
    now[0] += LEFTOVER_SECONDS
    site.shown()

    assert young == [True, True]
    assert [path.exists() for path in left] == [False, False]


def test_a_folder_that_is_away_for_a_moment_is_no_change(site: Site) -> None:
    """A network file system that hangs, or somebody who moves it by mistake."""
    watch = CaWatch(site.folder)
    before = watch()
    site.folder.ca.rename(site.folder.path / "moved")

    away = watch()
    (site.folder.path / "moved").rename(site.folder.ca)

    assert away == before == watch()


def test_another_next_ca_in_the_place_of_one_that_was_cleared_away_is_seen(site: Site) -> None:
    """By name alone nothing would have changed."""
    site.did("ca", "rollover", "prepare")
    first = site.announced()
    site.did("ca", "rollover", "abort")
    for path in site.folder.cas.aborted[0].path.iterdir():
        path.unlink()
    site.folder.cas.aborted[0].path.rmdir()
    site.did("ca", "rollover", "prepare")

    assert site.announced().data != first.data


def test_files_that_move_while_they_are_read_are_read_where_they_are(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody activates the next CA in the midst of a worker's looking."""
    import app.succession as succession

    site.did("ca", "rollover", "prepare")
    expected = load_ca_certificate(site.folder.cas.next).der
    read = succession.load_ca_certificate

    def slow(folder: CaFolder) -> Certificate:
        if folder.path.name == "next":
            activate_next(site.folder, utc_now())
        return read(folder)

    monkeypatch.setattr(succession, "load_ca_certificate", slow)

    assert load_succession(site.folder, utc_now())[0].current.certificate.der == expected
    site.folder.current_ca.key.unlink()
    with pytest.raises(FileNotFoundError):
        load_succession(site.folder, utc_now())


def test_a_next_ca_that_moves_while_it_is_read_is_not_called_missing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody gives it up in the midst of a worker's looking."""
    import app.succession as succession

    site.did("ca", "rollover", "prepare")
    read = succession.load_ca_certificate

    def slow(folder: CaFolder) -> Certificate:
        if folder.path.name == "next":
            abort_next(site.folder)
        return read(folder)

    monkeypatch.setattr(succession, "load_ca_certificate", slow)

    cas, _ = load_succession(site.folder, utc_now())

    assert (cas.next, len(cas.former), cas.complaints) == ((), 1, ())
