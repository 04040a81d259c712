"""Microsoft Intune decides, played by the simulator: success, each refusal, and what it is told."""

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from app.config import ConfigError, load_config
from app.data_folder import DataFolder
from app.validators import build_validators
from app.validators.intune_codes import REFUSALS
from app.validators.notified import NotDelivered
from ca.approval import check_reason
from ca.errors import ChallengeRejected
from ca.ports import Allowed, Denied
from ca.profiles import Grants
from ca.x509.certificate import Certificate
from tests.applicants import PASSWORD, applicant, failed, issued
from tests.intune.asking import make_validator, unavailable
from tests.intune.simulator import CLIENT_SECRET, CODES, IntuneSimulator
from tests.services import Reply
from tests.world import ROOT

REFUSED = [code for code in CODES if code not in ("Success", "Unknown")]


def test_success_vouches_for_the_names_as_requested(intune: IntuneSimulator, tmp_path: Path) -> None:
    """The Windows security identifier among them: Intune put it into the SCEP profile."""
    verdict = make_validator(intune, tmp_path).decide(applicant())

    assert isinstance(verdict, Allowed)
    assert verdict.grants == Grants(sid_as_requested=True)
    assert uuid.UUID(verdict.note.removeprefix("intune activity "))
    assert intune.complaints == []
    assert intune.steps == ["token", "discovery", "token", "validateRequest"]


@pytest.mark.parametrize("code", REFUSED)
def test_each_refusal_is_one(intune: IntuneSimulator, tmp_path: Path, code: str) -> None:
    """HTTP 200 is no success. The device hears no more than it must, the log has the code."""
    verdict = make_validator(intune, tmp_path).decide(applicant(f"{PASSWORD}:{code}"))

    assert isinstance(verdict, Denied)
    assert code in verdict.detail
    assert check_reason(verdict.reason) == verdict.reason
    assert code not in verdict.reason


def test_every_code_of_the_published_client_is_known() -> None:
    """And the other way round: the table has nothing that the client does not have."""
    assert set(REFUSALS) == set(REFUSED)


@pytest.mark.parametrize("code", [code for code in REFUSED if "Challenge" in code])
def test_all_that_is_wrong_with_a_challenge_password_sounds_alike(code: str) -> None:
    """Who guesses must not learn how near he came; nor whether Intune or we refused it."""
    assert REFUSALS[code] == str(ChallengeRejected())


@pytest.mark.parametrize(
    "code", ["Unknown", "success", "SUCCESS", "Success ", "SomethingNew", "", 0, None, True]
)
def test_a_code_that_is_not_known_is_no_verdict(
    intune: IntuneSimulator, tmp_path: Path, code: object
) -> None:
    """A service that changed must not lead to certificates."""
    intune.faults["validateRequest"] = lambda: Reply.of({"code": code, "errorDescription": ""})

    unavailable(make_validator(intune, tmp_path))


def test_no_challenge_password_is_refused_without_asking(intune: IntuneSimulator, tmp_path: Path) -> None:
    """Strangers must not have us ask Microsoft on their behalf."""
    verdict = make_validator(intune, tmp_path).decide(applicant(None))

    assert verdict == Denied("challenge password not accepted", "no challenge password in the CSR")
    assert intune.steps == []


def test_a_challenge_of_thousands_of_characters_arrives(intune: IntuneSimulator, tmp_path: Path) -> None:
    """It is a signed and encrypted blob."""
    long = applicant("x" * 9000 + ":SubjectNameMismatch")

    assert "SubjectNameMismatch" in getattr(make_validator(intune, tmp_path).decide(long), "detail", "")


def test_a_certificate_is_told_afterwards(intune: IntuneSimulator, tmp_path: Path) -> None:
    """Intune's console shows it, and may have it revoked later."""
    notification = issued("intune")
    certificate = Certificate.load(notification.certificate)

    make_validator(intune, tmp_path).notify(notification)

    assert intune.complaints == []
    (told,) = intune.notified
    assert told.action == "successNotification"
    assert told.content["transactionId"] == "0123ABCD"
    assert told.content["certificateThumbprint"] == certificate.fingerprint_sha1().upper()
    assert int(told.content["certificateSerialNumber"], 16) == certificate.serial_number
    assert told.content["certificateExpirationDateUtc"].startswith(
        f"{certificate.not_valid_after:%Y-%m-%dT%H}"
    )
    assert told.content["issuingCertificateAuthority"] == "CN=Test CA"
    assert re.fullmatch(r"scepbox/[0-9.]+", told.content["callerInfo"])


@pytest.mark.parametrize("reason", ["too many certificates", "x" * 5000, "two\nlines", ""])
def test_a_failure_is_told_afterwards(intune: IntuneSimulator, tmp_path: Path, reason: str) -> None:
    """With a description of up to 255 characters, which has to be there."""
    make_validator(intune, tmp_path).notify(failed("intune", reason))

    assert intune.complaints == []
    (told,) = intune.notified
    assert told.action == "failureNotification"
    assert told.content["hResult"] & 0xFFFFFFFF == 0x8000FFFF


def test_what_intune_did_not_take_has_to_be_told_again(intune: IntuneSimulator, tmp_path: Path) -> None:
    """HTTP 200 is no success here either."""
    intune.faults["successNotification"] = lambda: Reply.of({"code": "Unknown", "errorDescription": "x"})
    intune.faults["failureNotification"] = lambda: Reply.of({}, 500)
    one = make_validator(intune, tmp_path)

    with pytest.raises(NotDelivered, match="'Unknown'"):
        one.notify(issued("intune"))
    with pytest.raises(NotDelivered, match="HTTP 500"):
        one.notify(failed("intune"))


def test_secrets_are_not_shown(intune: IntuneSimulator, tmp_path: Path) -> None:
    """Objects end up in tracebacks and logs."""
    one = make_validator(intune, tmp_path)
    one.decide(applicant())

    assert CLIENT_SECRET not in repr(one)
    assert CLIENT_SECRET not in repr(vars(one.service))


def test_it_is_told_only_if_it_wants_to_be(intune: IntuneSimulator, tmp_path: Path) -> None:
    """``notify = false`` for who has another way."""
    assert make_validator(intune, tmp_path).wants_notifications
    assert not make_validator(intune, tmp_path, notify=False).wants_notifications


def test_a_secret_that_is_missing_is_told_at_the_start(intune: IntuneSimulator, tmp_path: Path) -> None:
    """With the key of the settings, and the file."""
    with pytest.raises(ConfigError, match=r"validator\.intune\.client_secret_file: there is no file .*gone"):
        make_validator(intune, tmp_path, client_secret_file="gone")


def test_the_simulator_can_be_run_by_hand(tmp_path: Path) -> None:
    """It prints the settings that lead to it, and they do."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.intune", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        lines: list[str] = []
        while not lines or not lines[-1].startswith("#"):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr and process.stderr.read()
        (tmp_path / "scepbox.toml").write_text("".join(lines))
        (tmp_path / "intune.secret").write_text(CLIENT_SECRET)
        (tmp_path / "intune.secret").chmod(0o600)
        config = load_config(tmp_path / "scepbox.toml", {})
        verdict = build_validators(config, DataFolder(tmp_path))["intune"].decide(
            applicant("x:ChallengeExpired")
        )
    finally:
        process.terminate()
        process.communicate(timeout=10)

    assert isinstance(verdict, Denied)
    assert "ChallengeExpired" in verdict.detail
    assert json.dumps(verdict.reason)
