"""What one grading found, and all that is made of it: a screen, own results, other tools' forms, a comparison."""
