"""``inspect``: what any SCEP message, answer, request or certificate holds, and what is wrong with it."""

import sys
from pathlib import Path

import click
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rich.console import Console
from rich.text import Text as RichText
from rich.tree import Tree

from app.cli.context import Refusal, Text, Workplace, json_option, print_json, read_secret, verb
from app.cli.explain import finding_json
from app.clock import utc_now
from app.diagnosis.finding import Finding, Severity
from app.diagnosis.inspection import MAX_OCTETS, Verdict, inspect, verdicts
from app.diagnosis.knowledge import Knowledge, knowledge
from app.diagnosis.node import Node
from app.diagnosis.opener import Opener
from app.diagnosis.recorded import choose_recording
from app.recorder.recording import is_recording
from app.words import printable
from ca.algorithms.keys import PrivateKey
from ca.issuing.key_store import read_private_key
from ca.issuing.root import read_certificates
from ca.x509.certificate import Certificate

_PEM = click.Path(exists=True, dir_okay=False, path_type=Path)
_STYLES = {Severity.VIOLATION: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
# A file of recordings is as long as a message may be, and what came with the last of them.
_MOST_RECORDINGS = 64 << 20
_MOST_NODES = 2000
_MOST_HEX = 256
_WIDE = 4096


@click.command("inspect")
@click.argument("file", metavar="FILE|-", default="-")
@click.option("--key", type=_PEM, help="The private key that opens the envelope, PEM.")
@click.option("--cert", type=_PEM, help="Whom the envelope should be for, PEM.")
@click.option(
    "--password-file",
    metavar="FILE|-",
    help="The passphrase of the key; without --key, the password that the envelope is sealed with.",
)
@click.option("--recording", type=Text(), metavar="ID", help="Of a file of several recordings, this one.")
@click.option("--hex", "as_hex", is_flag=True, help="Where each part lies, and its octets.")
@json_option
@verb
def inspect_(
    _: Workplace,
    file: str,
    key: Path | None,
    cert: Path | None,
    password_file: str | None,
    recording: str | None,
    as_hex: bool,
    as_json: bool,
) -> int:
    """Take a message apart in words: DER, PEM, base64, hex, HTTP, an address, a log line, recordings.

    Exit code 1 where something breaks a rule that a client insists on.
    """
    if file == "-" == password_file:
        raise Refusal("standard input can be either the message or the password: put one of them into a file")
    secret = read_secret(password_file, "password") if password_file else None
    private_key: PrivateKey | None = None
    if key is not None:
        private_key = read_private_key(key, secret.encode() if secret else None)
    opener = _opener(private_key, read_certificates(cert)[0] if cert else None, None if key else secret)
    data = _choose(_read(file, _MOST_RECORDINGS), recording) if recording else _read(file, MAX_OCTETS)
    top = inspect(data, opener)
    known = knowledge()
    found = verdicts(top, known)
    if as_json:
        print_json(
            {"findings": [_verdict_json(one, known) for one in found], "tree": node_json(top, as_hex=as_hex)}
        )
    else:
        _print(top, found, known, as_hex=as_hex)
    return 1 if any(one.finding.severity is Severity.VIOLATION for one in found) else 0


def _opener(key: PrivateKey | None, certificate: Certificate | None, password: str | None) -> Opener:
    """What was given, with whether it is known whose it is: the certificate's that should be named."""
    is_known = False
    if key is not None and certificate is not None:
        is_known = certificate.spki == key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
    return Opener(utc_now(), key, certificate, password, guessed=not is_known)


def _read(file: str, most: int) -> bytes:
    """The input, bounded before it is held.

    Raises:
        Refusal: It is longer than *most* octets.

    """
    if file == "-":
        data = sys.stdin.buffer.read(most + 1)
    else:
        with Path(file).open("rb") as stream:
            data = stream.read(most + 1)
    if len(data) > most:
        raise Refusal(f"the input is longer than {most >> 20} MiB; give the one message alone{_hint(data)}")
    return data


def _hint(data: bytes) -> str:
    return ", or name it by --recording" if is_recording(data) else ""


def _choose(data: bytes, id: str) -> bytes:
    """The recording of that name out of a file of several.

    Raises:
        Refusal: It is not there.

    """
    found = choose_recording(data, id)
    if found is None:
        raise Refusal(f"no recording {printable(id)} is in it; without --recording they are listed")
    return found


def _print(top: Node, found: list[Verdict], known: Knowledge, *, as_hex: bool) -> None:
    # A pipe has no width to fit.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
    for one in found:
        print_finding(console, one.finding, one.note.detail, known)
    if not found:
        console.print("nothing is wrong with it that is known here", style="green")
    console.print()
    tree = Tree(_label(top, known, as_hex=as_hex), guide_style="dim")
    _grow(tree, top, known, [_MOST_NODES], as_hex=as_hex)
    console.print(tree)


def print_finding(console: Console, finding: Finding, detail: str, known: Knowledge) -> None:
    """Say what is wrong, whom it hurts and how it is mended; *detail* is what it was there."""
    line = RichText(f"{finding.severity}: ", style=_STYLES[finding.severity])
    line.append(finding.what, style="bold" if finding.severity is Severity.VIOLATION else "")
    line.append(printable(f" ({detail})") if detail else "")
    console.print(line)
    if finding.severity is not Severity.INFO:
        for client, does in finding.clients.items():
            console.print(RichText(f"  {known.clients[client]}: {does}"))
        console.print(RichText(f"  mend: {finding.fix}"))
    console.print(RichText(f"  {finding.id}, {finding.reference}, {finding.confidence.words}", style="dim"))


def _grow(tree: Tree, node: Node, known: Knowledge, left: list[int], *, as_hex: bool) -> None:
    for child in node.children:
        left[0] -= 1
        if left[0] == 0:
            tree.add(RichText("... and more"))
        if left[0] <= 0:
            return
        _grow(tree.add(_label(child, known, as_hex=as_hex)), child, known, left, as_hex=as_hex)


def _label(node: Node, known: Knowledge, *, as_hex: bool) -> RichText:
    label = RichText.assemble((printable(node.name), "bold" if node.place else ""))
    if node.value:
        label.append(f": {printable(node.value)}")
    if as_hex and node.octets is not None:
        where = "" if node.offset is None else f" @{node.offset}"
        label.append(f"{where} +{len(node.octets)} {_hex(node)}", style="dim")
    for note in node.notes:
        finding = known.findings[note.finding]
        told = ", ".join(client for client in finding.clients)
        label.append(f"\n! {finding.id} ({finding.reference}; {told})", style=_STYLES[finding.severity])
        label.append(printable(f" {note.detail}") if note.detail else "")
    return label


def _hex(node: Node) -> str:
    octets = node.octets or b""
    if node.secret:
        return "(not shown)"
    return octets.hex() if len(octets) <= _MOST_HEX else f"{octets[:_MOST_HEX].hex()}..."


def _verdict_json(one: Verdict, known: Knowledge) -> dict[str, object]:
    return {**finding_json(one.finding, known), "place": one.node.place, "detail": one.note.detail}


def node_json(node: Node, *, as_hex: bool) -> dict[str, object]:
    """A place of the tree and all inside it, as ``--json`` tells it."""
    shown: dict[str, object] = {"name": node.name, "value": node.value, "place": node.place}
    if node.octets is not None:
        shown |= {"offset": node.offset, "length": len(node.octets)}
        if as_hex:
            shown["hex"] = _hex(node)
    if node.notes:
        shown["findings"] = [{"id": note.finding, "detail": note.detail} for note in node.notes]
    if node.children:
        shown["parts"] = [node_json(child, as_hex=as_hex) for child in node.children[:_MOST_NODES]]
    return shown
