"""Names, certificates, requests and extensions as real devices write them.

Reads tolerantly what ``cryptography`` refuses (unsorted attributes, odd strings, long serials).
Signs nothing and allows nothing.
"""
