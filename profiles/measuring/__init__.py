"""Times: clocks, timers, floors and flushes, and what samples of several processes amount to."""
