"""CPU by part of the program, from samples: which line is run, looked at every so often.

A profiler that follows every call makes small functions look dear; a look now and then does not.
"""

import linecache
import re
import signal
import time
from collections import defaultdict
from types import FrameType

_INTERVAL_SECONDS = 0.0002
RSA_PRIVATE = "RSA private-key operations"
RSA_PUBLIC = "RSA public-key operations"
LOAD_KEY = "OpenSSL reading public keys"
STATEMENTS = "SQLite: statements"
COMMIT = "SQLite: commit, onto the disk"
REST = "rest: Python's own library"
# By file and text of a line, the first that fits. Work in C belongs to the line that calls it.
_RULES = [
    (re.compile(file), re.compile(text), part)
    for file, text, part in (
        ("/ca/algorithms/", r"\.sign\(|key\.decrypt\(", RSA_PRIVATE),
        ("/ca/algorithms/", r"\.verify\(|key\.encrypt\(", RSA_PUBLIC),
        ("/ca/algorithms/", "load_der_public_key", LOAD_KEY),
        ("/ca/algorithms/(ciphers|digests)", "", "symmetric ciphers, digests"),
        ("/sqlalchemy/engine/default|/app/store/", r"\.commit\(|COMMIT", COMMIT),
        ("/sqlalchemy/engine/default", r"cursor\.execute", STATEMENTS),
        ("/app/store/", r"\.(execute|fetch)", STATEMENTS),
        ("/sqlalchemy/|/app/store/", "", "SQLAlchemy and the repository"),
        ("/ca/asn1/writer", "", "ASN.1, writing"),
        ("/ca/asn1/", "", "ASN.1, reading"),
        ("/ca/journal|/logging/|/app/logs", "", "log"),
        (r"/app/http/|/bottle\.py", "", "bottle and the endpoint"),
        ("/ca/x509/", "", "names, extensions, CSRs (ca/x509)"),
        ("/ca/pkcs7/", "", "CMS (ca/pkcs7)"),
        ("/ca/scep/", "", "SCEP messages (ca/scep)"),
        ("/ca/algorithms/|/cryptography/", "", "choosing algorithms (ca/algorithms)"),
        ("/ca/", "", "policy, issuing, responder"),
    )
]


class Sampler:
    """While it is entered: the CPU of this thread, which must be the main one, by part.

    A timer interrupts, and the CPU since the last interruption goes to the part that is at work.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._known: dict[tuple[str, int], str] = {}
        self._last = 0.0

    def __enter__(self) -> "Sampler":
        signal.signal(signal.SIGALRM, self._sample)
        signal.siginterrupt(signal.SIGALRM, False)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        taken = time.thread_time() - self._last
        part = ""
        while frame is not None and not part:
            part = self._part(frame.f_code.co_filename, frame.f_lineno or 0)
            frame = frame.f_back
        self.seconds[part or REST] += taken
        self._wait()

    def _wait(self) -> None:
        """Set the timer for once, so that no sample interrupts another; what one takes is nobody's."""
        self._last = time.thread_time()
        signal.setitimer(signal.ITIMER_REAL, _INTERVAL_SECONDS)

    def _part(self, file: str, number: int) -> str:
        """The part of a line; empty where only the calling line can tell."""
        part = self._known.get((file, number))
        if part is None:
            line, slashed = linecache.getline(file, number), file.replace("\\", "/")
            fitting = (part for where, text, part in _RULES if where.search(slashed) and text.search(line))
            part = self._known[file, number] = next(fitting, "")
        return part
