"""`python -m host_worker`."""

from host_worker.main import main

main()
