"""Words on a command line, a subject a module, on a screen; exceptions to text and exit codes.

The heavy imports stand in the functions that need them: a person sees the first line at once.
"""
