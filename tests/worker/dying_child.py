"""A job process that says two things and dies at once: for test_job_process."""

import os
import sys
from multiprocessing.connection import Connection

from ktrdr.training.progress import StageStarted

if __name__ == "__main__":
    pipe = Connection(int(sys.argv[1]))
    for number in (1, 2):
        pipe.send(StageStarted(name="load_price_data", number=number, total=11))
    os._exit(3)
