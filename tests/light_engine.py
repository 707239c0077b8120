"""A teacher's engine that costs nothing to start."""

import time

from qcrd.types import Sample


def light():
    """Its class; made here, so that it is sent to the workers, which cannot import this file."""

    class Light:
        """Four answers at a time, without torch: its process is up in a second instead of ten."""

        def __init__(self):
            self.waiting = []

        def feed(self, requests):
            self.waiting += requests

        def take(self, seconds):
            batch = self.waiting[:4]
            del self.waiting[:4]
            time.sleep(seconds)
            return [Sample(r.prompt_id, r.question_id, r.index, "an answer", "stop", 2) for r in batch]

    return Light
