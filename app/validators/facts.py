"""What a validator is told of a request, and afterwards of its end, as JSON."""

import base64
import textwrap
from datetime import UTC, datetime
from typing import Any

from ca.ports import Applicant

PEM_COLUMNS = 64


def facts(applicant: Applicant) -> dict[str, Any]:
    """All that is known of a request. The challenge password is among it."""
    return {
        "profile": applicant.profile,
        "transaction_id": applicant.transaction_id,
        "message_type": applicant.message_type,
        "csr": pem("CERTIFICATE REQUEST", applicant.csr),
        "subject": applicant.subject,
        "subject_alt_names": list(applicant.subject_alt_names),
        "key_type": applicant.key_type,
        "challenge_password": applicant.challenge_password,
        "signer": pem("CERTIFICATE", applicant.signer),
        "signer_chain": [pem("CERTIFICATE", one) for one in applicant.signer_chain],
        "renewal_of": applicant.renewal_of or None,
        "remote": applicant.remote,
        "client": applicant.client,
        "received_at": rfc3339(applicant.received_at),
    }


def pem(label: str, der: bytes) -> str:
    """*der* as text (RFC 7468)."""
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), PEM_COLUMNS)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def rfc3339(time: datetime) -> str:
    """*time* in UTC, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
