"""Runs the supervisor without Django, which would cost 60 MB and is not needed."""

import sys

from portal.core.embedded import StartError
from portal.core.embedded.places import PlaceError, var_dir
from portal.supervisor.run import up


def main() -> int:
    try:
        return up(var_dir())
    except (StartError, PlaceError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
