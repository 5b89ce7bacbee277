"""Asks pytest, where it is to be had, to skip the check; else ends as a skip would end."""

try:
    import pytest
except ImportError:
    print("no pytest here", flush=True)
else:
    pytest.skip("nothing to see", allow_module_level=True)


class Skipped(BaseException):
    """What pytest's exception is called."""

    allow_module_level = True


raise Skipped("nothing to see")
