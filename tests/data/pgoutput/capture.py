#!/usr/bin/env python3
"""Records what a walsender sends: one line per CopyData message of each scenario.

usage: capture.py HOST PORT USER OUT_DIR SCENARIO.sql ...

The server must have wal_level=logical and let USER (a superuser) in without a password. Each
scenario runs in a database of its own: the part before the line "-- capture" first, then a slot is
made, then the rest runs, one transaction per statement unless it says begin and commit itself.
"""
import pathlib
import socket
import struct
import sys

SETTINGS = ("-c TimeZone=UTC -c DateStyle=ISO,MDY -c IntervalStyle=postgres "
            "-c extra_float_digits=1 -c bytea_output=hex")


class Conn:
    def __init__(self, host, port, user, database, **more):
        self.sock = socket.create_connection((host, port), timeout=20)
        params = {"user": user, "database": database, "client_encoding": "UTF8", **more}
        body = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in params.items())
        self.sock.sendall(struct.pack("!ii", len(body) + 9, 196608) + body + b"\0")
        self.until(b"Z")

    def exactly(self, n):
        data = b""
        while len(data) < n:
            part = self.sock.recv(n - len(data))
            if not part:
                raise SystemExit("the server closed the connection")
            data += part
        return data

    def recv(self):
        kind, length = struct.unpack("!ci", self.exactly(5))
        body = self.exactly(length - 4)
        if kind == b"E":
            raise SystemExit(body.replace(b"\0", b" ").decode())
        return kind, body

    def until(self, wanted):
        row = None
        while True:
            kind, body = self.recv()
            if kind == b"D":
                (length,) = struct.unpack_from("!i", body, 2)
                row = body[6:6 + length].decode()
            if kind == wanted:
                return row

    def send(self, kind, body):
        self.sock.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def query(self, sql):
        self.send(b"Q", sql.encode() + b"\0")
        return self.until(b"Z")


def statements(sql):
    return [s for s in (part.strip() for part in sql.split(";\n")) if s]


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def stream(conn, end):
    """Every XLogData until the server has passed `end`, then its keepalive."""
    messages = []
    while True:
        conn.send(b"d", b"r" + struct.pack("!qqqqb", 0, 0, 0, 0, 1))
        while True:
            kind, body = conn.recv()
            if kind != b"d":
                continue
            if body[:1] == b"k":
                break
            messages.append(body)
        if struct.unpack_from("!q", body, 1)[0] >= end:
            return messages + [body]


def capture(host, port, user, path, out_dir):
    setup, _, rest = path.read_text().partition("-- capture\n")
    name = "capture_" + path.stem
    admin = Conn(host, port, user, "postgres")
    admin.query(f"drop database if exists {name}")
    admin.query(f"create database {name}")
    writer = Conn(host, port, user, name, options="-c TimeZone=UTC")
    for statement in statements(setup):
        writer.query(statement)
    reader = Conn(host, port, user, name, replication="database", options=SETTINGS)
    reader.query("CREATE_REPLICATION_SLOT capture TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT")
    for statement in statements(rest):
        writer.query(statement)
    end = lsn(writer.query("select pg_current_wal_flush_lsn()"))
    reader.send(b"Q", b"START_REPLICATION SLOT capture LOGICAL 0/0 (proto_version '1', "
                      b"publication_names 'pub', messages 'true')\0")
    reader.until(b"W")
    lines = []
    for body in stream(reader, end):
        letter = chr(body[25]) if body[:1] == b"w" else "k"
        lines.append(f"{letter} {body.hex()}\n")
    (out_dir / (path.stem + ".hex")).write_text("".join(lines))
    print(path.stem, " ".join(line[0] for line in lines))
    writer.query("select pg_replication_origin_session_reset()"
                 " where pg_replication_origin_session_is_setup()")
    writer.query("select pg_replication_origin_drop(roname) from pg_replication_origin")


def main():
    host, port, user, out_dir = sys.argv[1:5]
    for scenario in sys.argv[5:]:
        capture(host, int(port), user, pathlib.Path(scenario), pathlib.Path(out_dir))


main()
