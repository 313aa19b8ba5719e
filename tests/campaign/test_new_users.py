"""Many new users write their first collections at the same moment: no deadlock, nothing refused."""
import json
import socket

from lib import hawk

USERS = 500


def test_five_hundred_new_users_at_the_same_moment(engine, backends):
    stack = backends.stack(engine, {"public.queue": 2000, "public.queue_wait": 180})
    heddle, sockets = stack.heddle, []
    for i in range(USERS):
        uid = 3_200_000_000 + i
        target, body = f"/1.5/{uid}/storage/bookmarks", json.dumps([{"id": f"i{n}", "payload": "x" * 200} for n in range(10)]).encode()
        auth = hawk.header(*stack.mint(uid), "POST", target, "127.0.0.1", heddle.port, ts=int(heddle.now()))
        head = (f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1:{heddle.port}\r\nAuthorization: {auth}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode()
        s = socket.create_connection(("127.0.0.1", heddle.port), timeout=180)
        s.sendall(head + body[:-1])
        sockets.append((s, body[-1:]))
    for s, last in sockets:  # the last byte of each: now all of them are complete
        s.sendall(last)
    statuses = {}
    for s, _ in sockets:
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
        status = int(answer.split(b" ", 2)[1])
        statuses[status] = statuses.get(status, 0) + 1
        s.close()
    assert statuses == {200: USERS}
    for i in range(0, USERS, 50):
        assert len(stack.user(3_200_000_000 + i).ids("bookmarks")) == 10
    if stack.mariadb:
        with stack.mariadb.connect() as c, c.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")
            row = cursor.fetchone()
            assert row is None or int(row[1]) == 0, row
