"""Many gradings: a class's work taken in, graded on several slots and taken up again where it ended."""
