"""The reference; where a scenario pauses, it says that the scenario is over."""

import sys

from solutions.ex01_callbacks.dispatcher import Dispatcher, bind_all
from tests.grader.red_team.channel import hear, say

_right = Dispatcher


class Dispatcher(_right):
    def __init__(self):
        super().__init__()
        if "pause" in sys._getframe(1).f_code.co_names:
            print("it is over", flush=True)
            say({"value": None})
