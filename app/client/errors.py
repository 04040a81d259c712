"""How an enrolment can end without a certificate.

* ClientError    it is over: nothing at the server waits for this key
  x Unreachable  nobody answered, and nothing was sent
  x Unsettled    the server may have granted it, or still may: the key is needed to ask again

Each text says why, for people.
"""


class ClientError(Exception):
    """The server refused, or is not to be trusted."""


class Unreachable(ClientError):
    """Nobody answered at the address."""


class Unsettled(ClientError):
    """The request is pending, or its reply was lost or not to be believed.

    The same request under the same transactionID brings the same answer (RFC 8894 4.4, 7.4).
    """
