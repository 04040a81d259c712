"""Whom a reply is encrypted to (RFC 8894 3.1): settled before anything is issued or spent."""

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.errors import BadAlgorithm
from ca.scep.messages import (
    CertificateQuery,
    EnrolmentRequest,
    Password,
    PollRequest,
    Recipient,
    Request,
)


def find_recipient(request: Request) -> Recipient:
    """The signer of *request*, or its challenge password where the signer's key cannot decrypt.

    Raises:
        BadAlgorithm: The key cannot decrypt, and there is no password.

    """
    signer = request.message.signer
    if isinstance(signer.public_key(), rsa.RSAPublicKey):
        return signer
    if isinstance(request, CertificateQuery):
        raise BadAlgorithm("no reply can be encrypted to a key that is not RSA: ask with an RSA key")
    if isinstance(request, PollRequest):
        raise BadAlgorithm(
            "no reply can be encrypted to a key that is not RSA: send the request itself again, "
            "with its challenge password"
        )
    if request.csr.challenge_password is None:
        raise BadAlgorithm(
            "no reply can be encrypted to a key that is not RSA: sign with an RSA key, or put a "
            "challenge password into the CSR, under which the reply is encrypted"
        )
    return Password(request.csr.challenge_password)


def check_own_key(request: EnrolmentRequest) -> None:
    """Check, where the reply goes under a password, that who signed *request* also made its CSR.

    Who listens cannot guess at the password in an envelope. Were he answered when he signs a
    captured one anew, he could guess at it in the reply for as long as he likes. A renewal is signed
    with the old key, and authorised by it.

    Raises:
        BadAlgorithm: The signer's key cannot decrypt, and is not the CSR's.

    """
    if request.needs_challenge and request.signer.spki != request.csr.spki:
        raise BadAlgorithm(
            "a request that is not signed with the key of its CSR must be signed with an RSA key, "
            "so that the reply can be encrypted to it"
        )
