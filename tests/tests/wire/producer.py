#!/usr/bin/env python3
"""Tells JSON messages to a callboard service through plain Redis.

usage: producer.py PORT APPEND.LUA CLUSTER SERVICE MESSAGE

Written from the chapter "Wire format" alone, with the standard library alone. Sends the numbers 1
to 7: 1 and 2 in a frame, 3 in a second, both by the script; the second again, as after a lost
answer; 4 in a lane that begins anew; 5 and 6 in a frame by a plain XADD; 7 under a dedup id, twice.
Prints what Redis answered, one line each.
"""

import hashlib
import json
import os
import socket
import struct
import sys
import zlib


class Redis:
    """RESP over a socket."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rb")

    def call(self, *words):
        out = b"*%d\r\n" % len(words)
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            out += b"$%d\r\n%s\r\n" % (len(word), word)
        self.socket.sendall(out)
        return self.answer()

    def answer(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if int(rest) < 0:
                return None
            data = self.file.read(int(rest) + 2)
            return data[:-2].decode()
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        raise RuntimeError("not RESP: %r" % line)


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def frame(producer, lane, first, name, version, bodies):
    """A frame of tells of one name, their bodies in JSON."""
    messages = b""
    for body in bodies:
        message = bytes([1 | 2 << 4, 0]) + varint(1) + varint(version) + body
        messages += struct.pack("<I", len(message)) + message
    names = varint(1) + varint(len(name)) + name
    producer = producer.to_bytes(16, "little")
    rest = producer + struct.pack("<IQII", lane, first, len(bodies), 44 + len(messages))
    head = bytes([1, 0, 0, 0])
    crc = zlib.crc32(head + rest + messages + names)
    return head + struct.pack("<I", crc) + rest + messages + names


class Lane:
    """The way of one producer into one service's stream."""

    def __init__(self, redis, script, cluster, service):
        self.redis = redis
        self.script = script
        self.unit = "cb:%s:{s:%s:0}" % (cluster, service)
        self.producer = int.from_bytes(os.urandom(16), "little")
        self.lane = 1
        self.next = 1

    def append(self, name, bodies, dedup=()):
        data = frame(self.producer, self.lane, self.next, name, 1, bodies)
        answer = self.send(data, self.next, len(bodies), dedup)
        if answer[0] in (1, 2):
            self.next += len(bodies)
        return answer

    def send(self, data, first, count, dedup=()):
        keys = [self.unit + end for end in (":in", ":hw", ":gone")]
        if dedup:
            keys += [self.unit + end for end in (":once", ":prog")]
        lane = "%032x/%d" % (self.producer, self.lane)
        words = ["service", 1, lane, first, count, 0, 1000000, data, *dedup]
        sha = hashlib.sha1(self.script).hexdigest()
        try:
            return self.redis.call("EVALSHA", sha, len(keys), *keys, *words)
        except RuntimeError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return self.redis.call("EVAL", self.script, len(keys), *keys, *words)

    def renew(self):
        self.lane += 1
        self.next = 1


def main():
    port, path, cluster, service, name = sys.argv[1:]
    with open(path, "rb") as file:
        script = file.read()
    redis = Redis(int(port))
    lane = Lane(redis, script, cluster, service)
    name = name.encode()
    body = lambda n: json.dumps({"n": n}).encode()

    print(lane.append(name, [body(1), body(2)])[0])
    print(lane.append(name, [body(3)])[0])
    # The answer was lost, say: the same bytes again.
    again = frame(lane.producer, lane.lane, 3, name, 1, [body(3)])
    print(lane.send(again, 3, 1))
    # A frame that is not the next is not taken.
    print(lane.send(frame(lane.producer, lane.lane, 9, name, 1, [body(9)]), 9, 1))
    lane.renew()
    print(lane.append(name, [body(4)])[0])
    plain = frame(lane.producer, 3, 1, name, 1, [body(5), body(6)])
    redis.call("XADD", lane.unit + ":in", "*", "b", plain)
    print(lane.append(name, [body(7)], [0, "seven", 60000])[0])
    print(lane.append(name, [body(7)], [0, "seven", 60000]))


main()
