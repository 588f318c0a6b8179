"""A network between nodes that can be cut: every peer address is a relay's, which stops passing bytes on, and loses none."""

import contextlib
import os
import socket
import threading
from pathlib import Path


class Network:
    """The relays of a cluster. A node that is cut off neither hears its peers nor is heard by them; connections stay open."""

    def __init__(self):
        self._pids = {}
        self._cut = set()
        self._changed = threading.Condition()

    def relay(self, name, target):
        """The address under which peers reach the node of this name, which listens at `target`."""
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, args=(listener, name, target), daemon=True).start()
        return "127.0.0.1:{}".format(listener.getsockname()[1])

    def runs(self, name, pid):
        """Tells which process the node of this name is."""
        self._pids[name] = pid

    def cut_off(self, name):
        self._cut.add(name)

    def heal(self):
        with self._changed:
            self._cut.clear()
            self._changed.notify_all()

    def _accept(self, listener, name, target):
        host, port = target.split(":")
        while True:
            caller, (_, caller_port) = listener.accept()
            try:
                node = socket.create_connection((host, int(port)))
            except OSError:
                caller.close()
                continue
            ends = Ends(name, caller_port, self._pids)
            for source, sink in ((caller, node), (node, caller)):
                threading.Thread(target=self._pass_on, args=(source, sink, ends), daemon=True).start()

    def _pass_on(self, source, sink, ends):
        try:
            while data := source.recv(65_536):
                with self._changed:
                    self._changed.wait_for(lambda: not self._cut & ends.known())
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            sink.close()


class Ends:
    """The two nodes of a connection: the one that was dialled, and the one whose process holds the other end. A node dials before the
    test knows its process.
    """

    def __init__(self, dialled, port, pids):
        self._names, self._inode, self._pids = {dialled}, f"socket:[{_inode_of(port)}]", pids

    def known(self):
        if len(self._names) < 2:
            self._names |= {name for name, pid in list(self._pids.items()) if self._inode in _open_by(pid)}
        return self._names


def _inode_of(port):
    rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return next((row[9] for row in rows if int(row[1].split(":")[1], 16) == port), None)


def _open_by(pid):
    found = set()
    with contextlib.suppress(FileNotFoundError):  # It has just died.
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(os.readlink(handle))
    return found
