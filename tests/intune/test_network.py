"""The way to Microsoft Intune, by the simulator: tokens and addresses that are kept, and its bad days."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from ca.ports import Allowed
from tests.applicants import applicant
from tests.intune.asking import LIMIT, make_validator, unavailable
from tests.intune.simulator import IntuneSimulator
from tests.services import Reply, make_identity


def test_address_and_tokens_are_kept(intune: IntuneSimulator, tmp_path: Path) -> None:
    """Three requests to Microsoft for each device would be three times the wait."""
    one = make_validator(intune, tmp_path)

    for _ in range(3):
        one.decide(applicant())

    assert intune.steps == ["token", "discovery", "token", *["validateRequest"] * 3]


def test_a_token_that_ends_is_replaced_before(intune: IntuneSimulator, tmp_path: Path) -> None:
    """One that ends on the way would be a request for nothing."""
    intune.lifetime = 61
    one = make_validator(intune, tmp_path)

    one.decide(applicant())
    time.sleep(1.2)
    one.decide(applicant())

    assert intune.steps == ["token", "discovery", "token", "validateRequest", "token", "validateRequest"]


def test_a_token_that_is_not_accepted_any_more_is_renewed_once(
    intune: IntuneSimulator, tmp_path: Path
) -> None:
    """An administrator withdrew it, or granted a right that it does not have yet."""
    one = make_validator(intune, tmp_path)
    one.decide(applicant())
    intune.steps.clear()
    intune.withdraw_tokens()

    assert isinstance(one.decide(applicant()), Allowed)
    assert intune.steps == ["validateRequest", "token", "validateRequest"]


def test_a_right_that_is_missing_is_told_after_one_more_try(intune: IntuneSimulator, tmp_path: Path) -> None:
    """And not tried for ever."""
    intune.faults["validateRequest"] = lambda: Reply.of({}, 401)

    assert "HTTP 401" in unavailable(make_validator(intune, tmp_path))
    assert intune.steps.count("validateRequest") == 2


def test_a_service_that_moved_is_found_again(intune: IntuneSimulator, tmp_path: Path) -> None:
    """Tenants move from one data centre to another."""
    one = make_validator(intune, tmp_path)
    one.decide(applicant())
    intune.shard = "https-shard-2"

    assert "HTTP 404" in unavailable(one)
    assert isinstance(one.decide(applicant()), Allowed)


def test_a_wrong_secret_is_told_with_microsofts_number(intune: IntuneSimulator, tmp_path: Path) -> None:
    """Secrets of applications end after months, and the number is what people look for."""
    detail = unavailable(make_validator(intune, tmp_path, secret="another secret"))

    assert "HTTP 401 (invalid_client, AADSTS7000215)" in detail
    assert "another secret" not in detail


def test_a_certificate_proves_the_application_too(intune: IntuneSimulator, tmp_path: Path) -> None:
    """RFC 7523: no secret to leak, and none that ends unnoticed."""
    pem = make_identity(tmp_path).certificate.read_bytes()
    intune.certificate = x509.load_pem_x509_certificate(pem)
    (tmp_path / "application.pem").write_bytes(pem)
    proof = {"certificate_file": "application.pem", "key_file": "application.pem"}

    assert isinstance(make_validator(intune, tmp_path, **proof).decide(applicant()), Allowed)
    assert intune.complaints == []


def test_a_certificate_that_entra_does_not_know_is_refused(intune: IntuneSimulator, tmp_path: Path) -> None:
    """So that the test before proves something."""
    pem = make_identity(tmp_path).certificate.read_bytes()
    (tmp_path / "application.pem").write_bytes(pem)
    intune.certificate = x509.load_pem_x509_certificate(make_identity(tmp_path).certificate.read_bytes())
    proof = {"certificate_file": "application.pem", "key_file": "application.pem"}

    assert "AADSTS700027" in unavailable(make_validator(intune, tmp_path, **proof))


HTML = Reply(200, b"<html>sign in</html>")


BROKEN: dict[str, tuple[str, Callable[[], Reply]]] = {
    "no token": ("token", lambda: Reply.of({"token_type": "Bearer", "expires_in": 3600})),
    "a token of two lines": ("token", lambda: Reply.of({"access_token": "a\r\nX: y", "expires_in": 3600})),
    "a token without an end": ("token", lambda: Reply.of({"access_token": "abc"})),
    "a page in the place of a token": ("token", lambda: HTML),
    "a page of an error": ("token", lambda: Reply(500, b"<html>")),
    "token service down": ("token", lambda: Reply(503)),
    "a redirect for the token": ("token", lambda: Reply(302, b"", {"Location": "http://127.0.0.1:9/"})),
    "a page in the place of endpoints": ("discovery", lambda: HTML),
    "no endpoints": ("discovery", lambda: Reply.of({})),
    "endpoints of another kind": ("discovery", lambda: Reply.of({"value": {"uri": "x"}})),
    "no endpoint of ours": ("discovery", lambda: Reply.of({"value": [{"providerName": "x", "uri": "y"}, 7]})),
    "no right for Graph": ("discovery", lambda: Reply.of({}, 403)),
    "an endless list": ("discovery", lambda: Reply(200, b" " * (2 << 20))),
    "a page in the place of a code": ("validateRequest", lambda: HTML),
    "a list in the place of a code": ("validateRequest", lambda: Reply.of(["Success"])),
    "success of another status": ("validateRequest", lambda: Reply.of({"code": "Success"}, 202)),
    "a fault": ("validateRequest", lambda: Reply.of({"code": "Success"}, 500)),
    "an endless answer": ("validateRequest", lambda: Reply(200, b'{"code": "Success"}' + b" " * 100_000)),
}


@pytest.mark.parametrize(("step", "answer"), BROKEN.values(), ids=BROKEN)
def test_a_step_that_goes_wrong_is_no_verdict(
    intune: IntuneSimulator, tmp_path: Path, step: str, answer: Callable[[], Reply]
) -> None:
    """Whichever of the three services it is."""
    intune.faults[step] = answer

    unavailable(make_validator(intune, tmp_path, timeout_seconds=LIMIT))

    # Once it is mended it works, without a restart.
    intune.faults.clear()
    assert isinstance(make_validator(intune, tmp_path).decide(applicant()), Allowed)


@pytest.mark.parametrize(
    "uri", ["http://intune.example.org/", "file:///etc/passwd", "https://user@x/", "nonsense", ""]
)
def test_an_address_that_no_token_may_go_to_is_not_used(
    intune: IntuneSimulator, tmp_path: Path, uri: str
) -> None:
    """In clear text anybody on the way would have it."""
    endpoints = {"value": [{"providerName": "ScepRequestValidationFEService", "uri": uri}]}
    intune.faults["discovery"] = lambda: Reply.of(endpoints)

    assert "is not used" in unavailable(make_validator(intune, tmp_path))


@pytest.mark.parametrize("step", ["token", "discovery", "validateRequest"])
def test_a_step_that_hangs_is_answered_in_time(intune: IntuneSimulator, tmp_path: Path, step: str) -> None:
    """All steps share one limit; those who wait for the same token do not wait longer."""
    go_on = threading.Event()

    def hang() -> None:
        go_on.wait(30)

    intune.faults[step] = hang
    one = make_validator(intune, tmp_path, timeout_seconds=LIMIT)
    details: list[str] = []
    try:
        threads = [threading.Thread(target=lambda: details.append(unavailable(one))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        go_on.set()

    assert len(details) == 3
    assert all("in time" in detail or "no answer within" in detail for detail in details)


def test_nobody_there_is_no_verdict(intune: IntuneSimulator, tmp_path: Path) -> None:
    """The network is down."""
    one = make_validator(intune, tmp_path, authority="http://127.0.0.1:9/", timeout_seconds=LIMIT)

    assert "refused" in unavailable(one)
