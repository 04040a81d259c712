"""What random bytes are thrown at, by the suite for a moment and by atheris for as long as one likes."""
