"""A receiver with heavier steps: unpacks, parses, packs and indexes what it is sent, then answers.

Started by record.py on loopback. The steps are named by the header x-steps: unpack (gzip), parse (export format),
gzip, xz, index (SQLite full text). One request at a time, so that CPU time belongs to one entry.
"""

import gzip
import lzma
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


def parse(body: bytes) -> list[tuple[str, str]]:
    """Message and unit of each record; fields with a newline are length-prefixed, as the format says."""
    records, fields, at = [], {}, 0
    while at < len(body):
        end = body.index(b"\n", at)
        line = body[at:end]
        at = end + 1
        if not line:
            records.append((fields.get(b"MESSAGE", b"").decode("utf-8", "replace"),
                            fields.get(b"_SYSTEMD_UNIT", b"").decode("utf-8", "replace")))
            fields = {}
        elif b"=" in line:
            name, _, value = line.partition(b"=")
            fields[name] = value
        else:
            length = int.from_bytes(body[at:at + 8], "little")
            fields[line] = body[at + 8:at + 8 + length]
            at += 8 + length + 1
    return records


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    index: sqlite3.Connection

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        records: list[tuple[str, str]] = []
        for step in self.headers.get("x-steps", "").split(","):
            if step == "unpack":
                body = gzip.decompress(body)
            elif step == "parse":
                records = parse(body)
            elif step == "gzip":
                gzip.compress(body, 6)
            elif step == "xz":
                lzma.compress(body, preset=1)
            elif step == "index":
                self.index.executemany("insert into records values (?, ?)", records)
                self.index.commit()
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    Handler.index = sqlite3.connect(sys.argv[1])
    Handler.index.execute("create virtual table records using fts5(message, unit)")
    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
