"""One process at a time: a lock of the system's, which a process that dies gives up.

One that is stopped, or hangs in a disk that fails, keeps it: nobody waits for that without an end.
"""

import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ca.errors import StoreUnavailable

# Who only wants the CA certificate must not wait behind one who waits after the other: once it was waited
# for in vain, it is waited for so long, until it was got.
_IN_VAIN_SECONDS = 0.05

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel32.CreateMutexW.argtypes = (wintypes.LPVOID, wintypes.BOOL, wintypes.LPCWSTR)
    _kernel32.CreateMutexW.restype = wintypes.HANDLE
    _kernel32.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)
    _kernel32.WaitForSingleObject.restype = wintypes.DWORD
    _kernel32.ReleaseMutex.argtypes = (wintypes.HANDLE,)
    _kernel32.ReleaseMutex.restype = wintypes.BOOL
    # The second: its holder ended without giving it up. What that left undone, SQLite undoes.
    _GOT = (0x0, 0x80)
    _TIMEOUT = 0x102

    class _Lock:
        """A mutex of Windows. It belongs to a thread, which has to give it up itself."""

        def __init__(self, name: str = "") -> None:
            # Of this logon session; nobody else knows the name.
            self._name = name or f"Local\\scepbox-{secrets.token_hex(16)}"
            self._handle = _kernel32.CreateMutexW(None, False, self._name)
            if not self._handle:
                raise ctypes.WinError(ctypes.get_last_error())

        def __reduce__(self) -> tuple[Any, ...]:
            return _Lock, (self._name,)

        def acquire(self, seconds: float) -> bool:
            ended = _kernel32.WaitForSingleObject(self._handle, round(seconds * 1000))
            if ended not in (*_GOT, _TIMEOUT):
                raise ctypes.WinError(ctypes.get_last_error())
            return ended != _TIMEOUT

        def release(self) -> None:
            _kernel32.ReleaseMutex(self._handle)

else:
    import fcntl
    import threading

    class _Lock:
        """A lock of lockf on a file without a name. It belongs to a process, and not to what all inherit.

        The system gives it to whoever asked first, and knows no end of waiting: who does not get it at once
        has a thread wait, which may go on with that when he has given up.
        """

        def __init__(self, descriptor: int | None = None) -> None:
            if descriptor is None:
                descriptor, name = tempfile.mkstemp(prefix="scepbox-")
                os.unlink(name)
            self._descriptor = descriptor
            self._change = threading.Condition()
            # Whether the thread is to wait, or does; and whether there is anybody who wants it.
            self._is_awaited = False
            self._is_wanted = False
            self._thread: threading.Thread | None = None

        def __reduce__(self) -> tuple[Any, ...]:
            from multiprocessing.reduction import DupFd

            return _take_over, (DupFd(self._descriptor),)

        def acquire(self, seconds: float) -> bool:
            with self._change:
                if not self._is_awaited:
                    try:
                        fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except (BlockingIOError, PermissionError):
                        self._have_it_awaited()
                    else:
                        return True
                self._is_wanted = True
                got = self._change.wait_for(lambda: not self._is_awaited, seconds)
                self._is_wanted = False
                return got

        def release(self) -> None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

        def _have_it_awaited(self) -> None:
            self._is_awaited = True
            self._change.notify_all()
            # A process that was forked has no thread but its first.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._await, name="turn", daemon=True)
                self._thread.start()

        def _await(self) -> None:
            while True:
                with self._change:
                    self._change.wait_for(lambda: self._is_awaited)
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
                with self._change:
                    self._is_awaited = False
                    if self._is_wanted:
                        self._change.notify_all()
                    else:
                        self.release()

    def _take_over(copy: Any) -> _Lock:
        """The lock in a process that was spawned."""
        return _Lock(copy.detach())


class Turn:
    """One process at a time, of those that are forked, or spawned with it, afterwards."""

    def __init__(self) -> None:
        self._lock = _Lock()
        self._is_in_vain = False

    @contextmanager
    def __call__(self, seconds: float) -> Iterator[None]:
        """Wait for this process's turn, for so many *seconds* at most, and hold it; one thread alone may.

        Raises:
            StoreUnavailable: Another process kept it for too long.

        """
        got = self._lock.acquire(_IN_VAIN_SECONDS if self._is_in_vain else seconds)
        self._is_in_vain = not got
        if not got:
            raise StoreUnavailable("another process of this server writes, and has not come to an end of it")
        try:
            yield
        finally:
            self._lock.release()


def make_turn(count: int) -> Callable[[float], AbstractContextManager[None]]:
    """What :class:`Turn` is, where there is more than one process to take turns."""
    return Turn() if count > 1 else _always


def _always(_: float) -> AbstractContextManager[None]:
    return nullcontext()
