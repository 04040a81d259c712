"""What devices and server said to each other: kept, told in words, and said again to another server."""
