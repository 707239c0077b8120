"""Answers some requests with an engine in this process; apart, for the reason of vllm_script.py."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from qcrd import tasks
from qcrd.samples.requests import requests
from qcrd.tasks.arithmetic import generate
from qcrd.teacher.vllm import VllmSampler

ASKED = requests(generate(seed=3, n=16), tasks.get("arithmetic").prompt, 3, 0)
LIMIT, STOP = 40, ("Question",)

if __name__ == "__main__":
    folder, out = sys.argv[1:]
    sampler = VllmSampler(folder, max_tokens=LIMIT, stop=STOP)
    Path(out).write_text(json.dumps([asdict(s) for batch in sampler(ASKED) for s in batch]))
