"""What an administrator and a relying party wait for, at one stock of certificates."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder

from app.store import Wanted
from benchmarks.servers import RUN, Server
from benchmarks.stock import Stock
from ca.issuing.crl import CRL_LIFETIME, publish_crl
from ca.issuing.reasons import Reason
from ca.issuing.revocation import revoke
from ca.ports import StoredCertificate

PAGE = 100
_AGAIN = 3
_OCSP_QUESTIONS = 200


def look(stock: Stock, server: Server, folder: str) -> Iterator[tuple[str, float]]:
    """What is looked at, in words, and how long it took, in milliseconds: the middle of several times."""
    some = stock.some(_OCSP_QUESTIONS + 5)
    yield "OCSP answer, each for another certificate (p50)", _ask_ocsp(server, some[5:])
    yield "whole CRL", _middle(lambda: _publish(stock))
    yield "one revocation with its CRL", _middle(*(partial(_revoke, stock, one) for one in some[:5]))
    for words, wanted in _pages(stock):
        yield words, _middle(partial(_list, stock, wanted))
    shown = ["cert", "show", some[5].serial, "--data", folder]
    yield "`cert show`, the whole process", _middle(lambda: _run(shown))
    yield "`version`, which opens no database", _middle(lambda: _run(["version"]))


def _pages(stock: Stock) -> Iterator[tuple[str, Wanted]]:
    """Pages of 100: the first, one towards the end, and by each filter."""
    # The names are by chance: the last by its time of 200, and one far back by its name.
    late = max(stock.some(200), key=lambda one: one.not_after).serial
    (far,) = stock.some(1, "device-e")
    soon = datetime.now(UTC) + timedelta(days=90)
    yield "page: first of all", Wanted(limit=PAGE)
    yield "page: all, late", Wanted(limit=PAGE, after=late)
    yield "page: valid, late", Wanted("valid", limit=PAGE, after=late)
    yield "page: revoked", Wanted("revoked", limit=PAGE)
    yield "page: expired (none)", Wanted("expired", limit=PAGE)
    yield "page: expiring in 90 days", Wanted(ends_before=soon, limit=PAGE)
    yield "page: of a profile, late", Wanted(profile="default", after=late, limit=PAGE)
    yield "page: of a profile that has none", Wanted(profile="none", limit=PAGE)
    yield "page: revoked, of a profile that has none", Wanted("revoked", profile="none", limit=PAGE)
    yield "page: common name begins with 9 letters", Wanted(name=far.name[:9], limit=PAGE)
    yield "page: common name begins as all do, late", Wanted(name="device-", after=far.serial, limit=PAGE)
    yield "page: common name, whole", Wanted(name=far.name, limit=PAGE)
    yield "page: common name of none", Wanted(name="printer", limit=PAGE)
    yield "page: common name begins as all do, expired (none)", Wanted("expired", name="device-", limit=PAGE)
    for status in ("revoked", "valid"):
        words = f"page: common name begins as all do, {status}, of a profile that has none"
        yield words, Wanted(status, name="device-", profile="none", limit=PAGE)
    for count in (3, 4, 8):
        part = far.name[9 : 9 + count]
        yield f"page: names hold {count} letters", Wanted(subject=part, limit=PAGE)
    yield "page: names hold 3 letters, late", Wanted(subject=far.name[9:12], limit=PAGE, after=late)
    yield "page: names hold 3 letters, revoked", Wanted("revoked", subject=far.name[9:12], limit=PAGE)
    yield "page: names hold what all have", Wanted(subject="device", limit=PAGE)
    yield "page: names hold what none has", Wanted(subject="no such device", limit=PAGE)
    yield "page: names hold 2 letters", Wanted(subject=far.name[9:11], limit=PAGE)
    yield "page: names hold 2 letters that none has", Wanted(subject="zz", limit=PAGE)
    yield "page: names hold 1 letter", Wanted(subject=far.name[9], limit=PAGE)
    yield "page: names hold 1 letter that none has", Wanted(subject="z", limit=PAGE)
    yield "page: names hold 2 letters, expired (none)", Wanted("expired", subject=far.name[9:11], limit=PAGE)


def _list(stock: Stock, wanted: Wanted) -> None:
    now = datetime.now(UTC)
    stock.store.read(lambda repository: list(repository.list_certificates(now, wanted)))


def _publish(stock: Stock) -> None:
    now = datetime.now(UTC)
    stock.store.transact(lambda repository: publish_crl(stock.authority, repository, now))


def _revoke(stock: Stock, one: StoredCertificate) -> None:
    now, cas = datetime.now(UTC), [stock.authority]
    stock.store.transact(
        lambda repository: revoke(one, Reason.superseded, cas, repository, now, CRL_LIFETIME)
    )


def _ask_ocsp(server: Server, subjects: list[StoredCertificate]) -> float:
    issuer = x509.load_der_x509_certificate(server.target.ca.der)
    connection, times = HTTPConnection(*server.target.address), []
    for one in subjects:
        subject = x509.load_der_x509_certificate(one.der)
        question = OCSPRequestBuilder().add_certificate(subject, issuer, hashes.SHA1()).build()
        body = question.public_bytes(Encoding.DER)
        started = time.perf_counter()
        connection.request("POST", "/ocsp", body, {"Content-Type": "application/ocsp-request"})
        connection.getresponse().read()
        times.append(time.perf_counter() - started)
    connection.close()
    return statistics.median(times) * 1000


def _run(arguments: list[str]) -> None:
    subprocess.run([sys.executable, str(RUN), *arguments], check=True, capture_output=True)


def _middle(*works: Callable[[], object]) -> float:
    """Milliseconds: of several works each once, of a single one several times."""
    times = []
    for work in works if len(works) > 1 else works * _AGAIN:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000
