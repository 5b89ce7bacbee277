"""What students and platforms receive: which files, one module a target, and a search for what must not leave."""
