"""An LDAP server that lies: what becomes of its answers on their way to us. Chance comes from one seed; each connection has its own."""
import random


def _length(n, long=False):
    """A BER length; `long` in more bytes than it needs."""
    if n < 128 and not long:
        return bytes([n])
    digits = n.to_bytes(max(1, (n.bit_length() + 7) // 8), "big")
    return bytes([0x80 | len(digits)]) + digits


def ber(tag, content):
    return bytes([tag]) + _length(len(content)) + content


def integer(n):
    return ber(2, n.to_bytes(max(1, n.bit_length() // 8 + 1), "big"))


def octets(value):
    return ber(4, value)


def take(data):
    """(tag, content, rest) of the first element; None while it is not whole. We read honest answers with it."""
    if len(data) < 2:
        return None
    n, at = data[1], 2
    if n & 0x80:
        at += n & 0x7F
        if len(data) < at:
            return None
        n = int.from_bytes(data[2:at], "big")
    return (data[0], data[at:at + n], data[at + n:]) if len(data) >= at + n else None


class Message:
    """One LDAP message of the honest server."""

    def __init__(self, content, raw):
        self.raw = raw
        _, number, rest = take(content)
        self.id = int.from_bytes(number, "big")
        self.op, self.body, self.controls = take(rest)

    @staticmethod
    def build(number, op, body, controls=b""):
        return ber(0x30, integer(number) + ber(op, body) + controls)

    def with_body(self, body, op=None):
        return self.build(self.id, self.op if op is None else op, body, self.controls)


ENTRY, DONE, REFERENCE, BIND, MODIFY, ADD, DELETE, EXTENDED = 0x64, 0x65, 0x73, 0x61, 0x67, 0x69, 0x6B, 0x78
RESULTS = (DONE, BIND, MODIFY, ADD, DELETE, EXTENDED)
HUGE = (0xFFFFFFFF, 0x7FFFFFFF, 2**63 - 1, 10**6)


def result(code, text=b"", referrals=()):
    out = ber(10, code.to_bytes(1, "big")) + octets(b"") + octets(text)
    return out + (ber(0xA3, b"".join(octets(r) for r in referrals)) if referrals else b"")


def attribute(name, values):
    return ber(0x30, octets(name) + ber(0x31, b"".join(octets(v) for v in values)))


class Lies:
    """What can be made of one message: functions of (message, chance) that give the bytes to send instead, or None to cut the line."""

    @staticmethod
    def flip_bits(m, rnd):
        out = bytearray(m.raw)
        for _ in range(rnd.choice((1, 1, 2, 8))):
            out[rnd.randrange(len(out))] ^= 1 << rnd.randrange(8)
        return bytes(out)

    @staticmethod
    def truncate(m, rnd):
        return m.raw[:rnd.randrange(len(m.raw))]

    @staticmethod
    def truncate_inside(m, rnd):
        """The outer length is right, an inner one runs over the end."""
        body = m.body[:rnd.randrange(len(m.body) + 1)]
        return m.with_body(body)

    @staticmethod
    def end(m, rnd):
        return None

    @staticmethod
    def huge_length(m, rnd):
        return b"\x30" + _length(rnd.choice(HUGE), long=True) + m.raw[2:]

    @staticmethod
    def huge_inner_length(m, rnd):
        inside = integer(m.id) + bytes([m.op]) + _length(rnd.choice(HUGE), long=True) + m.body
        return ber(0x30, inside)

    @staticmethod
    def indefinite_length(m, rnd):
        return b"\x30\x80" + integer(m.id) + ber(m.op, m.body) + b"\0\0"

    @staticmethod
    def wrong_id(m, rnd):
        number = rnd.choice((0, m.id + 1, m.id - 1 if m.id > 1 else 77, 2**31 - 1, 12345))
        return Message.build(number, m.op, m.body, m.controls)

    @staticmethod
    def wrong_kind(m, rnd):
        return m.with_body(m.body, rnd.choice((ENTRY, DONE, REFERENCE, BIND, MODIFY, ADD, DELETE, EXTENDED, 0x79, 0x42, 0x00, 0xFF)))

    @staticmethod
    def referral(m, rnd):
        to = (b"ldap://192.0.2.1/dc=elsewhere", b"ldapi://%2Ftmp%2Fnowhere", b"no url", b"", b"ldap://" + b"x" * 5000)
        if m.op == ENTRY:
            return m.build(m.id, REFERENCE, b"".join(octets(rnd.choice(to)) for _ in range(rnd.randrange(3))))
        return m.with_body(result(10, b"go there", [rnd.choice(to) for _ in range(rnd.choice((0, 1, 3, 200)))]))

    @staticmethod
    def references_without_end(m, rnd):
        return m.build(m.id, REFERENCE, octets(b"ldap://192.0.2.1/dc=x")) * 1500

    @staticmethod
    def another_code(m, rnd):
        return m.with_body(result(rnd.choice((1, 2, 3, 4, 8, 11, 14, 16, 19, 20, 32, 34, 48, 49, 50, 51, 52, 53, 54, 65, 68, 80, 122, 127)),
                                  rnd.choice((b"", b"\xff\0\n", b"x" * 3000)))) if m.op in RESULTS else m.raw

    @staticmethod
    def binary_values(m, rnd):
        """Every value of an entry becomes something that it cannot be."""
        return _revalue(m, lambda v: rnd.choice((b"", b"\0", b"\xff\xfe\0\x80", v + b"\0" + v, b"-1", b"9" * 40, b"1" * 5000, rnd.randbytes(40), b"0x1f",
                                                 b" 7", b"9223372036854775808", b"%41%zz", "\u202e\u0000".encode())))

    @staticmethod
    def many_values(m, rnd):
        return _relist(m, lambda name, values: (name, values * rnd.choice((2, 100, 12000)) if len(m.raw) < 4000 else values))

    @staticmethod
    def no_values(m, rnd):
        return _relist(m, lambda name, values: (name, []))

    @staticmethod
    def huge_value(m, rnd):
        return _relist(m, lambda name, values: (name, [b"x" * rnd.choice((70_000, 700_000))] if rnd.random() < 0.3 else values))

    @staticmethod
    def other_names(m, rnd):
        return _relist(m, lambda name, values: (rnd.choice((b"", b"\0", name.upper(), name + b";lang-de", b"x" * 3000, name)), values))

    @staticmethod
    def another_dn(m, rnd):
        if m.op != ENTRY:
            return m.raw
        _, _, rest = take(m.body)
        return m.with_body(octets(rnd.choice((b"", b"\0", b"uid=somebody else,ou=users", b"x" * 9000, rnd.randbytes(30)))) + rest)

    @staticmethod
    def twice(m, rnd):
        return m.raw * rnd.choice((2, 3, 600))

    @staticmethod
    def unasked(m, rnd):
        """A notice of disconnection, or noise, before the answer."""
        notice = Message.build(0, EXTENDED, result(52, b"bye") + ber(0x8A, b"1.3.6.1.4.1.1466.20036"))
        return rnd.choice((notice, notice + m.raw, m.build(0, DONE, result(0)) + m.raw, b"\0" * 20 + m.raw, rnd.randbytes(60)))

    @staticmethod
    def endless_pages(m, rnd):
        """The end of a page that has a cookie, whatever it was."""
        cookie = ber(0xA0, ber(0x30, octets(b"1.2.840.113556.1.4.319") + octets(ber(0x30, integer(rnd.choice((0, 2**31 - 1))) + octets(rnd.randbytes(8))))))
        return Message.build(m.id, DONE, result(0), cookie) if m.op == DONE else m.raw

    @staticmethod
    def bad_controls(m, rnd):
        return Message.build(m.id, m.op, m.body, rnd.choice((ber(0xA0, b""), ber(0xA0, ber(0x30, octets(b"1.2.840.113556.1.4.319"))), ber(0xA0, rnd.randbytes(30)), ber(0xA0, ber(0x30, octets(b"1.2.840.113556.1.4.319")
                                                             + octets(b"\x30\x84\xff\xff\xff\xff"))))))

    @staticmethod
    def silence(m, rnd):
        return b""


LIES = {name: getattr(Lies, name) for name in vars(Lies) if not name.startswith("_")}


def _relist(m, change):
    """An entry whose attributes (name, values) went through `change`; other messages as they are."""
    if m.op != ENTRY:
        return m.raw
    _, dn, rest = take(m.body)
    _, todo, _ = take(rest)
    out = b""
    while todo:
        _, pair, todo = take(todo)
        _, name, values = take(pair)
        _, values, _ = take(values)
        items = []
        while values:
            _, v, values = take(values)
            items.append(v)
        out += attribute(*change(name, items))
    return m.with_body(octets(dn) + ber(0x30, out))


def _revalue(m, change):
    return _relist(m, lambda name, values: (name, [change(v) for v in values]))


class Liar:
    """The changer of one connection: reassembles messages, and lies about some of them. `lies`: names; `often`: how many of a hundred."""

    def __init__(self, seed, lies, often):
        self.rnd, self.lies, self.often, self.rest, self.told = random.Random(seed), sorted(lies), often, b"", []

    def __call__(self, data):
        self.rest += data
        out = b""
        while whole := take(self.rest):
            _, content, rest = whole
            m, self.rest = Message(content, self.rest[:len(self.rest) - len(rest)]), rest
            if self.rnd.randrange(100) >= self.often:
                out += m.raw
                continue
            name = self.rnd.choice(self.lies)
            self.told.append(name)
            said = LIES[name](m, self.rnd)
            if said is None:
                return None
            out += said
        return out
