"""What students and platforms receive, one module a target."""
