"""Knocks at doors: begins connections as cheaply as Linux lets a program do it."""

import errno
import socket

_MOST_SPARE = 64
"""Refused sockets of each family that are kept: files that are open beside those of the scan."""
_STANDS = (0, errno.EALREADY)
_V4, _V6 = int(socket.AF_INET), int(socket.AF_INET6)
_STREAM = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


class Door:
    """Begins connections. Close it at the end.

    On Linux a socket that was refused is as good as new once `connect` has said so. Most of a sparse network
    refuses, and to make and close a socket costs the kernel as much again as the knock itself.
    """

    def __init__(self) -> None:
        self._spare_v4: list[socket.SocketType] = []
        self._spare_v6: list[socket.SocketType] = []

    def knock(self, address: str, port: int) -> tuple[socket.SocketType | None, int]:
        """Begin a connection; return its socket, with 0 where it stands already and EALREADY where it may yet.

        Where it came to nothing, return no socket and the number of the error.
        """
        family, spare = (_V6, self._spare_v6) if ":" in address else (_V4, self._spare_v4)
        place = (address, port)
        while True:
            is_fresh = not spare
            try:
                # SocketType is what `socket.socket` wraps; without the wrapper each costs 3 µs less.
                opened = socket.SocketType(family, _STREAM) if is_fresh else spare.pop()
            except OSError as error:
                return None, error.errno or errno.EIO
            try:
                code = opened.connect_ex(place)
                if code == errno.EINPROGRESS:
                    # What is near has answered by now, and needs no epoll to say so.
                    code = opened.connect_ex(place)
            except OSError as error:  # an address that names no interface of ours, as fe80::1%none
                code = error.errno or errno.EIO
            if code in _STANDS:
                return opened, code
            self.take_back(opened, code)
            if is_fresh or code == errno.ECONNREFUSED:
                return None, code
            # Whatever else it was, a new socket says for certain.

    def take_back(self, opened: socket.SocketType, code: int) -> None:
        """Take a socket of which `connect` has just said with this code that it came to nothing."""
        spare = self._spare_v6 if opened.family == _V6 else self._spare_v4
        if code == errno.ECONNREFUSED and len(spare) < _MOST_SPARE:
            spare.append(opened)
        else:
            opened.close()

    def close(self) -> None:
        """Let the spare sockets go."""
        for opened in (*self._spare_v4, *self._spare_v6):
            opened.close()
        self._spare_v4.clear()
        self._spare_v6.clear()
