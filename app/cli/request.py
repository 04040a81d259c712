"""``request``: what waits for a person and what became of the rest; approving and rejecting."""

from contextlib import closing
from hashlib import md5, sha1, sha256

import click

from app.cli.challenge import rfc3339
from app.cli.context import (
    NotDone,
    Refusal,
    Text,
    Workplace,
    json_option,
    print_json,
    print_table,
    say,
    verb,
)
from app.clock import utc_now
from app.decisions import operator
from app.wiring import build_approval_desk
from app.words import printable
from ca.algorithms.keys import key_label
from ca.algorithms.levels import CryptoLevel
from ca.approval import check_reason
from ca.deviations import REFERENCES, DeviationKind, Deviations
from ca.errors import DecisionImpossible
from ca.ports import HeldContent, QueuedRequest
from ca.x509 import oids
from ca.x509.general_names import read_general_names
from ca.x509.request import UnprovenRequest

# What SQLite can number.
_ID = click.IntRange(1, 2**63 - 1)


@click.group()
def request() -> None:
    """The requests that wait for approval, and the history."""


@request.command("list")
@click.option(
    "--status",
    type=click.Choice(["pending", "issued", "refused", "all"]),
    default="all",
    show_default=True,
)
@json_option
@verb
def list_(place: Workplace, status: str, as_json: bool) -> None:
    """List requests, the oldest first."""
    place.require_ca()
    now = utc_now()
    found = place.read(lambda repository: list(repository.list_requests(now, status)))
    if as_json:
        print_json([_as_json(one) for one in found])
        return
    rows = [
        [
            str(one.id),
            one.status,
            f"{one.record.received_at:%Y-%m-%d %H:%M}",
            one.record.message_type,
            one.record.subject,
            one.record.profile,
            one.record.peer.remote,
            one.record.reason,
        ]
        for one in found
    ]
    print_table(["id", "status", "received (UTC)", "type", "subject", "profile", "remote", "reason"], rows)


@request.command()
@click.argument("request_id", metavar="ID", type=_ID)
@json_option
@verb
def show(place: Workplace, request_id: int, as_json: bool) -> None:
    """Show one request with all that tells whose it is, the fingerprints that devices display too."""
    place.require_ca()
    try:
        queued = place.read(lambda repository: repository.find_request(request_id, utc_now()))
    except DecisionImpossible as error:
        raise NotDone(f"request {request_id} {error}; {_see(place)}") from error
    if queued is None:
        raise NotDone(f"request {request_id} is not known; {_see(place)}")
    if as_json:
        print_json({**_as_json(queued), **_details(queued), **_asked(queued.content)})
        return
    for name, value in _in_words(queued):
        click.echo(f"{name:<22} {printable(value)}")
    if queued.status == "pending":
        say(f"next: {place.folder.command(f'request approve {request_id}')}")
        say(f"  or: {place.folder.command(f'request reject {request_id} --reason TEXT')}")


@request.command()
@click.argument("request_id", metavar="ID", type=_ID)
@verb
def approve(place: Workplace, request_id: int) -> None:
    """Issue the certificate; the device gets it when it asks next. Prints the serial number."""
    place.require_ca()
    cas = place.load_cas()
    with closing(place.open_store()) as store:
        try:
            approval = build_approval_desk(cas, place.config, store, operator()).approve(request_id)
        except DecisionImpossible as error:
            raise NotDone(f"request {request_id} {error}; {_see(place)}") from error
    certificate = approval.certificate
    say(f"request {request_id} approved: {certificate.subject}, until {certificate.not_after:%Y-%m-%d}")
    if approval.lint:
        say(f"warning: the linter objects to it: {', '.join(approval.lint)}")
    if approval.revoked:
        say(f"revoked to make room for it: {', '.join(approval.revoked)}")
    say("the device gets its certificate when it asks next")
    click.echo(certificate.serial)


@request.command()
@click.argument("request_id", metavar="ID", type=_ID)
@click.option("--reason", type=Text(), required=True, help="What the device is told, and the history keeps.")
@verb
def reject(place: Workplace, request_id: int, reason: str) -> None:
    """Refuse the request for good; the device hears the reason when it asks next."""
    place.require_ca()
    try:
        reason = check_reason(reason)
    except ValueError as error:
        raise Refusal(f"--reason: {error}") from error
    cas = place.load_cas()
    with closing(place.open_store()) as store:
        try:
            challenge = build_approval_desk(cas, place.config, store, operator()).reject(request_id, reason)
        except DecisionImpossible as error:
            raise NotDone(f"request {request_id} {error}; {_see(place)}") from error
    say(f"request {request_id} rejected; the device hears: {reason}")
    if challenge is not None:
        revoke = place.folder.command(f"challenge revoke {challenge}")
        say(f"its challenge password may be used again, unless: {revoke}")


def _see(place: Workplace) -> str:
    return f"see: {place.folder.command('request list')}"


def _as_json(one: QueuedRequest) -> dict[str, object]:
    record = one.record
    return {
        "id": one.id,
        "transaction_id": record.transaction_id,
        "type": record.message_type,
        "status": one.status,
        "subject": record.subject,
        "profile": record.profile,
        "remote": record.peer.remote,
        "received_at": rfc3339(record.received_at),
        "fail_info": record.fail_info,
        "reason": record.reason or None,
    }


def _details(one: QueuedRequest) -> dict[str, object]:
    record, content = one.record, one.content
    return {
        "client": record.peer.client or None,
        "serial": record.serial,
        "renewal_of": record.renewal_of,
        "challenge_id": record.challenge_id,
        "deviations": list(record.deviations),
        "decide_by": rfc3339(content.decide_by) if content else None,
        "decided_at": rfc3339(one.decided_at) if one.decided_at else None,
    }


def _asked(content: HeldContent | None) -> dict[str, object]:
    """What the CSR asks for, and its fingerprints; of a request that was never held nothing is kept."""
    if content is None:
        return {"sans": None, "key": None, "fingerprints": None}
    csr = UnprovenRequest(content.csr, Deviations()).read(CryptoLevel.LEGACY, Deviations())
    names = [wish.value for wish in csr.extensions if wish.oid == oids.SUBJECT_ALT_NAME]
    return {
        "sans": [str(name) for value in names for name in read_general_names(value)],
        "key": key_label(csr.public_key),
        # Of the PKCS #10, as the drafts had operators compare it; Cisco IOS displays the first two.
        "fingerprints": {
            "csr_md5": md5(csr.der, usedforsecurity=False).hexdigest(),
            "csr_sha1": sha1(csr.der, usedforsecurity=False).hexdigest(),
            "csr_sha256": sha256(csr.der).hexdigest(),
            "key_sha256": sha256(csr.spki).hexdigest(),
        },
    }


_FINGERPRINTS = {
    "csr_md5": "MD5 of the CSR",
    "csr_sha1": "SHA-1 of the CSR",
    "csr_sha256": "SHA-256 of the CSR",
    "key_sha256": "SHA-256 of its key",
}


def _in_words(one: QueuedRequest) -> list[tuple[str, str]]:
    """A line for each fact, what is not there left out."""
    record, asked = one.record, _asked(one.content)
    names, fingerprints = asked["sans"], asked["fingerprints"]
    lines = [
        ("request", f"{one.id}, {one.status}"),
        ("subject", record.subject),
        ("subjectAltName", ", ".join(names) if isinstance(names, list) and names else ""),
        ("key", str(asked["key"] or "")),
        ("profile", record.profile),
        ("asked by", f"{record.message_type} from {record.peer.remote} {record.peer.client}".rstrip()),
        ("received", rfc3339(record.received_at)),
        ("transactionID", record.transaction_id),
        ("authorised by", _authority(one)),
        ("waits until", rfc3339(one.content.decide_by) if one.content and one.status == "pending" else ""),
        ("decided", rfc3339(one.decided_at) if one.decided_at else ""),
        ("certificate", record.serial or ""),
        ("failInfo", record.fail_info or ""),
        ("reason", record.reason),
    ]
    if isinstance(fingerprints, dict):
        lines += [(_FINGERPRINTS[kind], _grouped(digest)) for kind, digest in fingerprints.items()]
    lines += [("deviation", f"{kind} ({REFERENCES[DeviationKind(kind)]})") for kind in record.deviations]
    return [(name, value) for name, value in lines if value]


def _authority(one: QueuedRequest) -> str:
    if one.record.renewal_of is not None:
        return f"certificate {one.record.renewal_of}, which it renews"
    if one.record.challenge_id is not None:
        return f"challenge password {one.record.challenge_id}"
    return "nothing: compare the fingerprints with the device's" if one.status == "pending" else ""


def _grouped(digest: str) -> str:
    """In capitals and groups of eight, as Cisco IOS displays fingerprints."""
    return " ".join(digest.upper()[start : start + 8] for start in range(0, len(digest), 8))
