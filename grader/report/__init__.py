"""What one grading found, and all that is made of it."""
