"""The administrator's site: its own listener, behind a password, and never a page for devices."""
