"""An HTTP server on this machine that misbehaves as it is told, file by file and request by request.

with FileServer() as server:
    server.add("/2/frame/train/trainaa.tfrecord", b"...", "truncate", "500", "ok")   # 1st, 2nd, all later requests
    server.url, server.requests("/2/frame/train/trainaa.tfrecord")
"""

import hashlib
import http.server
import json
import re
import socket
import threading


class FileServer:
    """Serves bytes from memory.

    Attributes:
      url: of its root.
    """

    def __init__(self):
        self._files, self._modes, self._requests = {}, {}, {}
        self.released = threading.Event()  # ends the waiting of stalled answers
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.owner = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def add(self, path, content, *modes):
        """Serves `content` at `path`; `modes` are of its requests in turn, the last one of all further ones."""
        self._files[path], self._modes[path], self._requests[path] = content, modes or ("ok",), []

    def add_partition(self, partition, contents, modes=None):
        """Serves a plan and its files; `contents` and `modes` map names on the server to bytes and lists of modes."""
        plan = {"files": {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}}
        version, kind, split = partition.split("/")
        self.add(f"/{version}/download_plans/{kind}_{split}.json", json.dumps(plan).encode())
        for name, content in contents.items():
            self.add(f"/{partition}/{name}", content, *(modes or {}).get(name, ()))

    def requests(self, path):
        """The requests of a path: pairs of the first byte asked for and the number of bytes sent."""
        return [tuple(request) for request in self._requests[path]]

    def bytes_sent(self, path):
        return sum(sent for _, sent in self.requests(path))

    def take(self, path):
        """For the handler: content, mode and a new entry of the list of requests."""
        requests = self._requests[path]
        mode = self._modes[path][min(len(requests), len(self._modes[path]) - 1)]
        requests.append([0, 0])
        return self._files[path], mode, requests[-1]


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        owner = self.server.owner
        if self.path not in owner._files:
            self._answer(404, b"")
            return
        content, mode, self._request = owner.take(self.path)
        first = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        offset = self._request[0] = int(first.group(1)) if first else 0
        if mode.startswith("corrupt"):
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        if mode.isdigit():
            self._answer(int(mode), b"no")
        elif mode.startswith("retry_after"):
            _, _, status, seconds = mode.split("_")
            self._answer(int(status), b"later", {"Retry-After": seconds})
        elif mode.startswith("redirect:"):
            self._answer(302, b"", {"Location": mode.partition(":")[2]})
        elif mode == "hang_up":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif mode == "silence":
            owner.released.wait(30)
        elif mode == "no_range" or not first:
            self._serve(200, content, mode)
        elif offset >= len(content) or mode == "416":
            self._answer(416, b"")
        elif mode == "wrong_range":
            self._serve(206, content[1:], mode, {"Content-Range": f"bytes 1-{len(content) - 1}/{len(content)}"})
        elif mode == "wrong_bytes":
            self._serve(206, content[1:][: len(content) - offset], mode, self._range(offset, content))
        else:
            self._serve(206, content[offset:], mode, self._range(offset, content))

    def _range(self, offset, content):
        return {"Content-Range": f"bytes {offset}-{len(content) - 1}/{len(content)}"}

    def _answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def _serve(self, status, body, mode, headers=None):
        lengths = {"long_length": len(body) + 10, "short_length": len(body) - 10, "huge_length": 10**17}
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if mode != "no_length":
            self.send_header("Content-Length", str(lengths.get(mode, len(body))))
        self.end_headers()
        if mode in ("truncate", "half"):
            self._send(body[: len(body) // 2])
        elif mode == "short_length":
            self._send(body[:-10])
        elif mode not in ("stall", "trickle"):
            self._send(body)
        if mode in ("stall", "half"):
            self.server.owner.released.wait(30)
        if mode == "trickle":
            for value in body:
                if self.server.owner.released.wait(0.02):
                    return
                self._send(bytes([value]))

    def _send(self, body):
        for start in range(0, len(body), 1 << 16):
            piece = body[start : start + (1 << 16)]
            try:
                self.wfile.write(piece)
            except OSError:  # the client is gone
                return
            self._request[1] += len(piece)

    def log_message(self, *args):
        pass
