"""One grading, from outside the judge: the order, what was handed in, a slot, a report; it fails closed."""
