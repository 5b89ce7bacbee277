"""A stub: what is planted beside it has to do the work."""
