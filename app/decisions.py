"""Who runs the command line, and what of it is written into the audit log."""

import getpass

from app.clock import utc_now
from ca.ports import AuditEntry

_MOST = 64


def operator() -> str:
    """``operator NAME``: as the system has it; a word for the log, and no proof of anything."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # A container whose user has no name; Windows without the variables that tell it.
        return "operator"
    plain = "".join(one for one in name if one.isprintable())[:_MOST]
    return f"operator {plain}".rstrip()


def decision(action: str, target: str, outcome: str, detail: str = "") -> AuditEntry:
    """The entry for what an operator has just decided."""
    return AuditEntry(utc_now(), operator(), action, target, outcome, "operator", detail)
