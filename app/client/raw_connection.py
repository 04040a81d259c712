"""Connections to a server, in the clear or in TLS, and in words what keeps them from coming about."""

import socket
import ssl
import time
from contextlib import closing, suppress

from app.words import printable

TIMED_OUT = "timed out"
SPEAKS_TLS = "the server speaks TLS at this port: write https://"
_SPEAKS_NO_TLS = "TLS: the server does not speak it at this port: it may be one for http://"
_WANTS_CERTIFICATE = "TLS: the server wants a client certificate, and a device has none before it enrols"
_BROKEN_OFF = "SSLV3_ALERT_HANDSHAKE_FAILURE"
_REASONS = {
    # What comes for TLS where plain HTTP is spoken, in the words of several versions of OpenSSL.
    **dict.fromkeys(
        ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"),
        _SPEAKS_NO_TLS,
    ),
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _WANTS_CERTIFICATE,
    _BROKEN_OFF: "TLS: the server and this machine have no version or cipher in common",
}
# A server of TLS answers the first octets at once. One of plain HTTP waits for the end of a line.
_PATIENCE_SECONDS = 1.5
_END_OF_HEAD = b"\r\n\r\n"
_HTTP = b"HTTP/"


def connect(address: tuple[str, int], until: float, trust: ssl.SSLContext | None) -> socket.socket:
    """Connect to host and port by the time *until* (monotonic, in seconds), in TLS where there is *trust*.

    Raises:
        OSError: It cannot be; :func:`in_words` says why.

    """
    connection = _open(address, until)
    if trust is None:
        return connection
    with closing(connection), closing(connection.dup()) as plain:
        patience = min(_PATIENCE_SECONDS, _left(until) / 3)
        try:
            return _shake_hands(connection, address[0], time.monotonic() + patience, trust)
        except TimeoutError:
            if _answers_plainly(plain, patience):
                raise ConnectionError(_SPEAKS_NO_TLS) from None
    # It is only slow: once more, and with all the time that is left.
    return _shake_hands(_open(address, until), address[0], until, trust)


def _open(address: tuple[str, int], until: float) -> socket.socket:
    """Try each of the addresses that the host has, giving each its share of the time."""
    places = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    trouble: OSError = socket.gaierror("it has no address")
    for number, (family, kind, protocol, _, place) in enumerate(places):
        try:
            connection = socket.socket(family, kind, protocol)
        except OSError as error:
            # This machine has no such addresses.
            trouble = error
            continue
        try:
            connection.settimeout(_left(until) / (len(places) - number))
            connection.connect(place)
        except OSError as error:
            connection.close()
            trouble = error
        else:
            return connection
    raise trouble


def _shake_hands(connection: socket.socket, host: str, until: float, trust: ssl.SSLContext) -> ssl.SSLSocket:
    # The wrapped socket takes the descriptor along, so that closing the other one closes nothing then.
    with closing(connection):
        secured = trust.wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False)
    try:
        secured.settimeout(_left(until))
        secured.do_handshake()
    except OSError as error:
        # With a cipher chosen it is not for want of one that the server breaks off (up to TLS 1.2).
        refused = isinstance(error, ssl.SSLError) and error.reason == _BROKEN_OFF
        chosen = refused and secured.cipher() is not None
        secured.close()
        if chosen:
            raise ConnectionError(_WANTS_CERTIFICATE) from error
        raise
    return secured


def _answers_plainly(plain: socket.socket, seconds: float) -> bool:
    """Whether HTTP comes in the clear where what was sent until now, for TLS, ends as a request does."""
    with suppress(OSError):
        plain.settimeout(seconds)
        plain.sendall(_END_OF_HEAD)
        return plain.recv(len(_HTTP)) == _HTTP
    return False


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def in_words(error: OSError, timeout: float) -> str:
    """Say what a failed connection means to a person; *timeout* is what it had in all, in seconds."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"TLS: the server's certificate is not trusted: {printable(error.verify_message)}"
        case ssl.SSLError():
            return _REASONS.get(error.reason or "") or f"TLS: {printable(error.reason or str(error))}"
        case TimeoutError():
            return f"{TIMED_OUT} after {timeout:g} seconds"
        case ConnectionRefusedError():
            return "the connection was refused"
        case ConnectionResetError() | BrokenPipeError():
            return "the connection was reset"
        case socket.gaierror():
            return f"the name of the server is not known: {printable(error.strerror or str(error))}"
        case _:
            return printable(error.strerror or str(error))
