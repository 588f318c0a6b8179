"""A provider whose every byte a test has written: for answers that no sane provider gives, and how often it was asked."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked[body["model"]] += 1
        self.server.order.append(body["model"])
        for part in self.server.answers[body["model"]]:
            if part is HANG:
                self.server.released.wait()
            else:
                self.wfile.write(part)
                self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A gateway that hangs up is what some tests are about."""


HANG = object()


class Canned:
    """Answers by the model that is asked for: each answer is parts to send, or to hang at; then it closes the connection."""

    def __init__(self):
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.answers, self.server.asked, self.server.order = {}, Counter(), []
        self.server.released = threading.Event()
        self.url = "http://127.0.0.1:{}".format(self.server.server_address[1])
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, model, *parts):
        self.server.answers[model] = parts

    def asked(self, model):
        return self.server.asked[model]

    def order(self):
        """The models that were asked for, in the order of the requests."""
        return list(self.server.order)

    def let_go(self):
        """Goes on after every `HANG`."""
        self.server.released.set()

    def stop(self):
        self.let_go()
        self.server.shutdown()
        self.server.server_close()


def head(status, content_type="application/json", length=None, **headers):
    """The head of an answer; without a length its end is the end of the connection."""
    lines = [f"HTTP/1.1 {status} Canned", f"content-type: {content_type}", "connection: close"]
    lines += [f"content-length: {length}"] if length is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def whole(status, body, **headers):
    """An answer in one piece, of JSON."""
    text = json.dumps(body).encode()
    return head(status, length=len(text), **headers) + text


def event(chunk):
    return f"data: {json.dumps(chunk)}\n\n".encode()
