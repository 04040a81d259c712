"""What Intune answers to a request that it does not vouch for, and what the device is told then.

The codes are those of Microsoft's published client, ``IntuneScepServiceException`` in
microsoft/Intune-Resource-Access.
"""

SUCCESS = "Success"
# The words of a challenge password that is refused here: who guesses must not learn how near he came.
_CHALLENGE = "challenge password not accepted"
_SUBJECT = "the subject is not the one of the device's SCEP profile"
_NAMES = "the subjectAltName is not the one of the device's SCEP profile"
_PURPOSE = "the extendedKeyUsage is not the one of the device's SCEP profile"
_KEY = "the key is not one that is registered for the device"

REFUSALS = {
    "CertificateRequestDecodingFailed": "the certificate request cannot be read",
    "ChallengePasswordMissing": _CHALLENGE,
    "ChallengeDeserializationError": _CHALLENGE,
    "ChallengeDecryptionError": _CHALLENGE,
    "ChallengeDecodingError": _CHALLENGE,
    "ChallengeInvalidTimestamp": _CHALLENGE,
    "ChallengeExpired": _CHALLENGE,
    "SubjectNameMissing": _SUBJECT,
    "SubjectNameMismatch": _SUBJECT,
    "SubjectAltNameMissing": _NAMES,
    "SubjectAltNameMismatch": _NAMES,
    "KeyUsageMismatch": "the keyUsage is not the one of the device's SCEP profile",
    "KeyLengthMismatch": "the key is not of the length of the device's SCEP profile",
    "EnhancedKeyUsageMissing": _PURPOSE,
    "EnhancedKeyUsageMismatch": _PURPOSE,
    "AadKeyIdentifierListMissing": _KEY,
    "RegisteredKeyMismatch": _KEY,
    "SigningCertThumbprintMismatch": _CHALLENGE,
    "ScepProfileNoLongerTargetedToTheClient": "the SCEP profile is not assigned to the device any more",
    "SignatureValidationFailed": _CHALLENGE,
    "BadCertificateRequestIdInChallenge": _CHALLENGE,
    "BadDeviceIdInChallenge": _CHALLENGE,
    "BadUserIdInChallenge": _CHALLENGE,
}
