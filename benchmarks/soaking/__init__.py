"""An hour of mixed load at a steady rate, and whether anything grows meanwhile."""
