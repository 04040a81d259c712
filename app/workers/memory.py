"""Memory that several processes see alike. It has no name on any disk, and is gone with the last of them."""

import mmap
import os
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ctypes import Array, c_ubyte

# What memoryview makes octets of.
Memory: TypeAlias = "mmap.mmap | Array[c_ubyte]"
COUNT_OCTETS = 4


def make_memory(octets: int) -> Memory:
    """So many zeroes, to be made before the processes that see them.

    Those that are forked have it anyway; those that are spawned get it among what is pickled for them, and
    nobody else can have it pickled.
    """
    if hasattr(os, "fork"):
        return mmap.mmap(-1, octets)
    # Costs a start something that others need not pay.
    from multiprocessing import get_context

    array: Array[c_ubyte] = get_context("spawn").RawArray("B", octets)
    return array


def make_counts(count: int) -> Memory:
    """As many zeroes of :data:`COUNT_OCTETS` octets each."""
    return make_memory(COUNT_OCTETS * count)


def view_counts(memory: Memory) -> memoryview:
    """What :func:`make_counts` made, as whole numbers."""
    return memoryview(memory).cast("B").cast("I")
