"""Chaos mode, for authors of clients: what may lawfully happen to a client happens at random."""
