"""Several processes that serve the same sockets, and the parent that starts and outlives them.

Python runs one thread at a time, so a second core needs a second process. Where the system can fork, each is
a copy of the parent; on Windows each is spawned: a Python of its own that is handed what they share.
"""
