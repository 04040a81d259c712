"""One process at a time: a lock of the system's, which a process that dies gives up."""

import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

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
    _INFINITE = 0xFFFF_FFFF
    # The second: its holder ended without giving it up. What that left undone, SQLite undoes.
    _GOT = (0x0, 0x80)

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

        def acquire(self) -> None:
            if _kernel32.WaitForSingleObject(self._handle, _INFINITE) not in _GOT:
                raise ctypes.WinError(ctypes.get_last_error())

        def release(self) -> None:
            _kernel32.ReleaseMutex(self._handle)

else:
    import fcntl

    class _Lock:
        """A lock of lockf on a file without a name. It belongs to a process, and not to what all inherit."""

        def __init__(self, descriptor: int | None = None) -> None:
            if descriptor is None:
                descriptor, name = tempfile.mkstemp(prefix="scepbox-")
                os.unlink(name)
            self._descriptor = descriptor

        def __reduce__(self) -> tuple[Any, ...]:
            from multiprocessing.reduction import DupFd

            return _take_over, (DupFd(self._descriptor),)

        def acquire(self) -> None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)

        def release(self) -> None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _take_over(copy: Any) -> _Lock:
        """The lock in a process that was spawned."""
        return _Lock(copy.detach())


class Turn:
    """One process at a time, of those that are forked, or spawned with it, afterwards."""

    def __init__(self) -> None:
        self._lock = _Lock()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Wait for this process's turn, and hold it; of its threads one alone may."""
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()


def make_turn(count: int) -> Callable[[], AbstractContextManager[None]]:
    """What :class:`Turn` is, where there is more than one process to take turns."""
    return Turn() if count > 1 else nullcontext
