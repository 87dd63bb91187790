"""Leaving the network of the machine, so that nothing can be sent to a provider (Linux)."""

import fcntl
import os
import socket
import struct
from contextlib import suppress

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
"""From linux/sockios.h and linux/if.h."""


def separate_network() -> bool:
    """Move this process into a network with nothing but a loopback device of its own.

    Returns False if the machine does not allow that, or is no Linux; this process then may have no
    network at all. It must have one thread. Its child processes share the new network.
    """
    user, group = os.getuid(), os.getgid()
    try:
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
        _enable_loopback()
    except (AttributeError, OSError):
        return False
    return True


def _write(file: str, text: str) -> None:
    with suppress(FileNotFoundError), open(file, "w") as opened:
        opened.write(text)


def _enable_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name = struct.pack("16sh22x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, name), 16)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))
