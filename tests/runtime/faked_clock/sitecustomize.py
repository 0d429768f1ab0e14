"""Sleep past libfaketime: while it reads a new offset, its clock_nanosleep takes the time of another thread's clock.

A sleep then fails with EINVAL or lasts for years, which no clock that jumps does to a real one.
"""

import select
import time

time.sleep = lambda seconds: select.select((), (), (), seconds)
