"""Several workers and one scrape: each enrolment is counted once, whoever served it and then died."""

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from shutil import copytree
from urllib.parse import urlsplit

import pytest

from ca.scep.codec import decode_ca_certificates
from ca.x509.certificate import Certificate
from tests.command_line import Service, did
from tests.processes import children
from tests.scraping import Scraped
from tests.test_reload import admin_url, ask, await_, running
from tests.world import SECRET, Device, certificate_of, rsa_key

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
WORKERS = 3
AT_ONCE = 12


@pytest.fixture
def data(made_ca: Path, tmp_path: Path) -> Path:
    """A CA with one challenge password without limit."""
    data = tmp_path / "data"
    copytree(made_ca, data)
    forever = ("--uses", "unlimited", "--valid", "forever")
    did("challenge", "new", "--data", data, "--secret", "-", *forever, stdin=SECRET)
    return data


def enrol(service: Service, ca: Certificate, first: int) -> None:
    """Have devices enrol and fetch the CRL at the same time, on connections of their own."""

    def one(number: int) -> None:
        device = Device(f"device-{number}", rsa_key(number % 4), signing_time=None)
        message = device.message(ca, transaction_id=device.common_name)
        answer = ask(service.url, "POST", "/scep?operation=PKIOperation", message)
        certificate_of(device.read(answer.body, ca, device.common_name))
        assert ask(service.url, "GET", "/crl", None).status == 200

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(first, first + AT_ONCE)))


def test_counts_are_exact_with_several_workers_and_after_each_was_killed(data: Path) -> None:
    """A counter that falls, or forgets, would tell of a restart that was none, or of quiet that is none."""
    token = did("admin", "metrics", "--data", data).strip()
    with running(data, WORKERS) as service, ExitStack() as open_ones:
        (ca,) = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])
        where = admin_url(service)

        def scrape() -> Scraped:
            answer = ask(where, "GET", "/metrics", None, Authorization=f"Bearer {token}")
            assert answer.status == 200
            return Scraped.read(answer.body)

        def insist(enrolled: int, starts: int) -> None:
            scraped = scrape()
            assert scraped.value("scepbox_operations_total", outcome="issued") == enrolled
            assert scraped.total("scepbox_operations_total", operation="PKCSReq") == enrolled
            assert scraped.value("scepbox_operation_duration_seconds_count") == enrolled
            assert scraped.value("scepbox_certificates") == enrolled
            assert scraped.value("scepbox_worker_starts_total") == starts
            queries = scraped.total("scepbox_revocation_queries_total", kind="CRL", outcome="answered")
            assert queries == enrolled

        enrol(service, ca, 0)
        insist(AT_ONCE, WORKERS)
        where_devices_come = urlsplit(service.url)
        address = (where_devices_come.hostname, where_devices_come.port)
        held = [open_ones.enter_context(socket.create_connection(address, 10)) for _ in range(AT_ONCE)]
        await_(lambda: scrape().value("scepbox_connections") == len(held))
        before = children(service.process.pid)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await_(lambda: len(set(children(service.process.pid)) - set(before)) == WORKERS)
        # They are there before they serve.
        await_(lambda: scrape().value("scepbox_worker_starts_total") == 2 * WORKERS)
        insist(AT_ONCE, 2 * WORKERS)
        assert scrape().value("scepbox_connections") == 0

        enrol(service, ca, AT_ONCE)

        insist(2 * AT_ONCE, 2 * WORKERS)
    assert "Traceback" not in service.log
