"""The files of an enrolment: the key, which must not be lost, and what may be replaced."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.client.errors import ClientError, Unsettled
from app.data_folder import sync_folder, write_private


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that anybody may read, whole or not at all; one that is there is replaced.

    Raises:
        OSError: It cannot be written; what was there is there still.

    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def keeping(path: Path, key: bytes) -> Iterator[None]:
    """Keep a new *key* in *path*; where the request was refused for good, the key goes again.

    After anything else there may be a certificate for it.

    Raises:
        FileExistsError: There is a key already, which is left alone.

    """
    # Written before the request: a certificate whose key is lost would be of no use.
    write_private(path, key)
    try:
        yield
    except Unsettled:
        raise
    except ClientError:
        path.unlink()
        raise
