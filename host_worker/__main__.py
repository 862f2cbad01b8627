"""`python -m host_worker`: wrong settings told in words. Imports main."""

from host_worker.main import main
from ktrdr.training.faults import InvalidInputError

if __name__ == "__main__":
    try:
        main()
    except InvalidInputError as error:
        told = [f"error: {fault.dotted}: {fault.problem}\n  fix: {fault.fix}" for fault in error.faults]
        raise SystemExit("\n".join(told)) from None
