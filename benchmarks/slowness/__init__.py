"""Honest enrolments beside connections that send a drop at a time."""
