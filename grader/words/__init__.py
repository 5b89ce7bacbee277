"""Sentences with places for values, and what stands beside them in other languages."""
