"""A service that decides: what it is told, how it knows who tells it, and what its answers mean."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.validators.notified import NotDelivered
from app.validators.verdict import REFUSED
from ca.errors import ValidatorUnavailable
from ca.ports import Allowed, Deferred, Denied, Verdict
from ca.profiles import Grants
from tests.applicants import PASSWORD, applicant, failed, issued
from tests.services import Reply, Service, running
from tests.webhooks import SECRET, is_genuine, webhook


@pytest.fixture
def service() -> Iterator[Service]:
    """A receiver that allows everything until told otherwise."""
    with running(Service(lambda _: Reply.of({"allow": True}))) as service:
        yield service


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"allow": True}, Allowed()),
        ({"allow": False}, Denied(REFUSED)),
        ({"allow": False, "reason": "lost phone"}, Denied("lost phone")),
        ({"hold": True}, Deferred()),
        (
            {"allow": True, "subject": "CN=a", "subject_alt_names": ["dns:a"], "sid": "S-1-5-21-1-2-3-7"},
            Allowed(Grants("CN=a", ("dns:a",), "S-1-5-21-1-2-3-7")),
        ),
    ],
)
def test_its_verdict_counts(service: Service, said: object, expected: Verdict) -> None:
    """Yes, no with a reason, later, and other names."""
    service.answer = lambda _: Reply.of(said)

    assert webhook(service).decide(applicant()) == expected


def test_it_is_told_everything_in_our_words_and_in_step_cas(service: Service) -> None:
    """A receiver that was written for step-ca finds what it looks for."""
    asked = applicant(subject="CN=ipad-17,O=Example")

    webhook(service).decide(asked)

    (request,) = service.received
    told = json.loads(request.body)
    assert (request.method, request.path) == ("POST", "/decide")
    assert request.headers["content-type"] == "application/json"
    assert told["scepChallenge"] == told["challenge_password"] == PASSWORD
    assert told["scepTransactionID"] == told["transaction_id"] == "0123ABCD"
    assert told["provisionerName"] == told["profile"] == "phones"
    shown = told["x509CertificateRequest"]
    assert base64.b64decode(shown["raw"]) == asked.csr
    assert shown["subject"] == {"commonName": "ipad-17"}
    assert shown["dnsNames"] == ["ipad-17.example.org"]
    assert told["csr"].startswith("-----BEGIN CERTIFICATE REQUEST-----")
    assert told["subject"] == "CN=ipad-17,O=Example"


def test_a_subject_that_cannot_be_taken_apart_is_shown_whole(service: Service) -> None:
    """What step-ca would show is a courtesy; the request is asked about all the same."""
    assert webhook(service).decide(applicant(subject="nonsense")) == Allowed()
    assert json.loads(service.received[0].body)["x509CertificateRequest"]["subject"] == {"commonName": ""}


def test_a_receiver_knows_who_asks(service: Service) -> None:
    """By the three lines of docs/policy.md; a wrong secret or another body does not pass."""
    webhook(service).decide(applicant())

    (request,) = service.received
    assert is_genuine(request)
    assert not is_genuine(request, b"another secret, as long as the first")
    assert not is_genuine(replace(request, body=request.body + b" "))


def test_a_request_of_last_week_is_not_taken_again(service: Service) -> None:
    """The signature covers the time, so that it cannot be changed either."""
    last_week = time.time() - 7 * 24 * 3600
    replace(webhook(service), now=lambda: last_week).decide(applicant())

    (request,) = service.received
    assert not is_genuine(request)
    later = {**request.headers, "x-scepbox-timestamp": f"{time.time():.0f}"}
    assert not is_genuine(replace(request, headers=later))


def test_a_receiver_for_step_ca_knows_too(service: Service) -> None:
    """X-Smallstep-Signature is over the body alone, which has the time in it."""
    webhook(service).decide(applicant())

    (request,) = service.received
    assert request.headers["x-smallstep-webhook-id"] == "mdm"
    assert request.headers["x-smallstep-signature"] == hmac.new(SECRET, request.body, "sha256").hexdigest()
    assert json.loads(request.body)["timestamp"].endswith("Z")


def test_a_challenge_password_of_thousands_of_characters_arrives(service: Service) -> None:
    """MDM systems put signed blobs there."""
    webhook(service).decide(applicant("x" * 9000))

    assert json.loads(service.received[0].body)["challenge_password"] == "x" * 9000


def test_no_challenge_password_is_told_as_none(service: Service) -> None:
    """The service may decide by something else."""
    webhook(service).decide(applicant(None))

    told = json.loads(service.received[0].body)
    assert (told["challenge_password"], told["scepChallenge"]) == (None, "")


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 401, 403, 404, 418, 429, 500, 501])
def test_another_status_is_no_verdict_whatever_the_body_says(service: Service, status: int) -> None:
    """An error page may well have "allow" in it."""
    elsewhere = {"Location": f"{service.url}/elsewhere"} if 300 <= status < 400 else {}
    service.answer = lambda _: replace(Reply.of({"allow": True}, status), headers=elsewhere)

    with pytest.raises(ValidatorUnavailable) as caught:
        webhook(service).decide(applicant())

    assert f"HTTP {status}" in caught.value.detail
    # No redirect was followed: the password would go to whoever is named there.
    assert [request.path for request in service.received] == ["/decide"]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"allow": "yes"}', b'{"allow": true', b'{"allow": true, "hold": true}']
)
def test_nonsense_is_no_verdict(service: Service, body: bytes) -> None:
    """Something else listens there, or the receiver has a fault."""
    service.answer = lambda _: Reply(200, body)

    with pytest.raises(ValidatorUnavailable) as caught:
        webhook(service).decide(applicant())

    assert "validator mdm" in caught.value.detail


def test_what_the_device_hears_never_says_why() -> None:
    """Whether the validator is down is no business of who asks."""
    with pytest.raises(ValidatorUnavailable) as caught:
        webhook("http://127.0.0.1:9", 0.3).decide(applicant())

    assert str(caught.value) == "the request cannot be checked at the moment; try again later"


def test_a_certificate_is_told_afterwards(service: Service) -> None:
    """With the certificate itself, in both shapes, and signed like a question."""
    notification = issued("mdm")

    webhook(service).notify(notification)

    (request,) = service.received
    told = json.loads(request.body)
    assert request.path == "/told"
    assert is_genuine(request)
    assert (told["notification"], told["scepTransactionID"]) == ("issued", "0123ABCD")
    assert base64.b64decode(told["x509Certificate"]["raw"]) == notification.certificate
    assert base64.b64decode(told["x509CertificateRequest"]["raw"]) == notification.csr
    assert told["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert "scepErrorCode" not in told


def test_a_failure_is_told_afterwards_with_its_reason(service: Service) -> None:
    """The service may have counted on a certificate."""
    webhook(service).notify(failed("mdm", "too many certificates"))

    told = json.loads(service.received[0].body)
    assert told["notification"] == "failed"
    assert (told["scepErrorCode"], told["scepErrorDescription"]) == (2, "too many certificates")
    assert "x509Certificate" not in told


@pytest.mark.parametrize("status", [200, 201, 204])
def test_whatever_says_heard_ends_it(service: Service, status: int) -> None:
    """A body is not looked at."""
    service.answer = lambda _: Reply(status)

    webhook(service).notify(failed("mdm"))

    assert len(service.received) == 1


@pytest.mark.parametrize("status", [302, 400, 404, 500])
def test_anything_else_has_to_be_told_again(service: Service, status: int) -> None:
    """It was not heard, or not understood."""
    service.answer = lambda _: Reply(status)

    with pytest.raises(NotDelivered, match=f"HTTP {status}"):
        webhook(service).notify(failed("mdm"))


def test_nobody_there_has_to_be_told_again() -> None:
    """The receiver restarts at this moment."""
    with pytest.raises(NotDelivered, match="refused"):
        webhook("http://127.0.0.1:9", 0.3).notify(failed("mdm"))


def test_its_secret_is_not_shown() -> None:
    """Objects end up in tracebacks and logs."""
    shown = repr(webhook("http://127.0.0.1:9"))

    assert "0123456789abcdef" not in shown


def test_it_is_told_only_where_it_wants_to_be() -> None:
    """Without an address nothing is kept for it."""
    assert webhook("http://127.0.0.1:9").wants_notifications
    assert not replace(webhook("http://127.0.0.1:9"), notify_url="").wants_notifications
