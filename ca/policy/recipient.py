"""Whom a reply is encrypted to (RFC 8894 3.1): settled before anything is issued or spent."""

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.errors import BadAlgorithm
from ca.scep.messages import EnrolmentRequest, Password, Recipient, Request


def find_recipient(request: Request) -> Recipient:
    """The signer of *request*, or its challenge password where the signer's key cannot decrypt.

    Raises:
        BadAlgorithm: The key cannot decrypt, and there is no password.

    """
    signer = request.message.signer
    if isinstance(signer.public_key(), rsa.RSAPublicKey):
        return signer
    if not isinstance(request, EnrolmentRequest):
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
