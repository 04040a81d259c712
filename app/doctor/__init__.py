"""Looks at any SCEP server as its clients do, and says what would fail for whom, and why.

A step sends something and keeps what came back; a judgement reads what was kept and sends nothing.
"""
