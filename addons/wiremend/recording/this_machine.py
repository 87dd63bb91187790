"""The names of this machine and its user, which recordings do not contain."""

import getpass
import os
import socket
from pathlib import Path

from wiremend.identities import Machine


def this_machine() -> Machine:
    """Return what identifies this machine and its user."""
    names = [os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME")]
    homes = [os.environ.get("HOME", ""), str(Path("~").expanduser())]
    try:
        import pwd

        entry = pwd.getpwuid(os.getuid())
    except (ImportError, KeyError):
        names.append(getpass.getuser())
    else:
        names += [entry.pw_name, entry.pw_gecos.partition(",")[0]]
        homes.append(entry.pw_dir)
    homes += [os.path.realpath(home) for home in homes if home]
    host = socket.gethostname()
    return Machine(
        names=tuple(filter(None, names)),
        hosts=(host, host.partition(".")[0]),
        homes=tuple(home for home in homes if len(home) > 1),
    )
