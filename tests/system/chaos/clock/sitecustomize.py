"""The wall clock of processes whose PYTHONPATH has this folder jumps by up to a day at each reading."""

import random
import time

_time, _time_ns, _rng = time.time, time.time_ns, random.Random()
time.time = lambda: _time() + _rng.uniform(-86_400, 86_400)
time.time_ns = lambda: _time_ns() + _rng.randrange(-86_400 * 10**9, 86_400 * 10**9)
