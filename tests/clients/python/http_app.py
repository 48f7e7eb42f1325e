"""An HTTP server that knows nothing of micro-node: it tells what it was sent, and prints its port once it listens."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def told(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length).decode() if length else ""
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size).decode()
                self.rfile.readline()
            self.rfile.readline()
        headers = [[name.lower(), value] for name, value in self.headers.items()]
        return json.dumps({"method": self.command, "path": self.path, "headers": headers, "body": body}).encode()

    def answer(self):
        told = self.told()
        if "/slow" in self.path:
            return self.slow()
        self.send_response(418 if "/teapot" in self.path else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.send_header("set-cookie", "a=1")
        self.send_header("set-cookie", "b=2")
        self.send_header("keep-alive", "timeout=5")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told)

    def slow(self):
        """Says a word, and the next once the caller had time to go."""
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(1000):
            self.wfile.write(b"5\r\nword\n\r\n")
            self.wfile.flush()
            time.sleep(0.1)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    print(server.server_port, flush=True)
    server.serve_forever()
