"""A SCEP client over HTTP: it believes nothing that RFC 8894 tells it to check first."""

from app.client.client import Identity, ScepClient
from app.client.errors import ClientError, Unreachable, Unsettled
from app.client.queries import get_certificate, get_crl
from app.client.transport import Transport

__all__ = [
    "ClientError",
    "Identity",
    "ScepClient",
    "Transport",
    "Unreachable",
    "Unsettled",
    "get_certificate",
    "get_crl",
]
