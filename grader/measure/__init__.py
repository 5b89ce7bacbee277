"""Facts about a running program, one module each, and they do not know one another: calls, vitals, clients, steps."""
