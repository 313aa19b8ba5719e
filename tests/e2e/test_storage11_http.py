"""Storage API 1.1: URLs, versions, methods, path prefixes, and Basic authentication."""
import base64

import pytest

from lib.heddle import Storage11
from lib.processes import free_port
from lib.storage11 import check_promises
from lib.synccrypto import username_of
from lib.wire import raw_exchange


# ---- URLs ----

@pytest.mark.parametrize("version", ["1.1", "1.0", "1"])
def test_every_version_is_the_same_service(user11, version):
    written = user11.save("xx", "a", "x", ttl=1000)
    old = user11.again()
    old.version = version
    assert old.info() == {"xx": written} and old.info("collection_usage")["xx"] > 0 and old.info("collection_counts") == {"xx": 1}
    assert old.item("xx", "a")["modified"] == written and old.ids("xx", "ids=a") == ["a"] and old.info("quota")[1] is None
    later = old.save_all("xx", [{"id": "b", "payload": "x", "ttl": 100}])
    assert user11.info() == {"xx": later}
    old.delete("/storage/xx/b")
    old.delete("/storage", expect=400, code=4)
    old.delete("/storage", headers={"X-Confirm-Delete": "1"})
    assert user11.info() == {}


@pytest.mark.parametrize("version", ["2.0", "2", "0", "1.2", "1.1.1", "01.1", "1.10", "v1.1", "1.", ".1", "-1", "1.1%00", "latest"])
def test_other_versions_are_404(user11, version):
    user11.version = version
    user11.get("/info/collections", expect=404)
    user11.put("/storage/xx/a", {"payload": "x"}, expect=404)


@pytest.mark.parametrize("slashes", ["/", "//", "////"])
def test_trailing_slashes_are_stripped(user11, slashes):
    user11.put(f"/storage/xx/a{slashes}", {"payload": "x"})
    assert user11.get(f"/storage/xx/a{slashes}").json()["id"] == "a"
    assert user11.get(f"/storage/xx{slashes}?full=1").json()[0]["id"] == "a"
    assert user11.post(f"/storage/xx{slashes}", [{"id": "b"}]).json()["success"] == ["b"]
    for what in ("collections", "collection_counts", "collection_usage", "quota"):
        assert user11.get(f"/info/{what}{slashes}").json() == user11.info(what)
    user11.delete(f"/storage/xx/b{slashes}")
    assert user11.ids("xx") == ["a"]
    user11.delete(f"/storage{slashes}", expect=400, code=4)
    user11.delete(f"/storage{slashes}", headers={"X-Confirm-Delete": "1"})
    assert user11.info() == {}


@pytest.mark.parametrize("base", ["/sync", "/sync/index.php", "/a/b/c/d"])
def test_everything_works_below_a_path(own_stack, base):
    stack = own_stack(start=False)
    stack.heddle.port = free_port()
    stack.heddle.settings["public.url"] = stack.url + base
    stack.heddle.start()
    user = Storage11(stack.heddle, username_of("someone@example.com"), "correct horse battery", "someone@example.com")
    user.prefix = base
    user.register()
    assert user.node().text == stack.url + base + "/"
    written = user.save("xx", "a", "x")
    assert user.info() == {"xx": written} and user.get("/info/collections/").json() == {"xx": written}
    user.delete("/storage", headers={"X-Confirm-Delete": "1"})
    user.request("GET", base + "x/1.1/" + user.name + "/info/collections", expect=(401, 404))
    user.prefix = ""  # a proxy may have stripped it
    assert user.info() == {}


def test_names_of_users_are_compared_in_lower_case(user11):
    written = user11.save("xx", "a", "x")
    upper = user11.again()
    upper.name = user11.name.upper()
    assert upper.info() == {"xx": written}
    assert upper.get("/info/collections", authorization=user11.authorization()).json() == {"xx": written}
    assert user11.get("/info/collections", authorization=upper.authorization()).json() == {"xx": written}


@pytest.mark.parametrize("method, path, allow", [
    ("GET", "/storage", "DELETE"), ("PUT", "/storage", "DELETE"), ("POST", "/storage", "DELETE"), ("POST", "/storage/xx/a", "DELETE, GET, PUT"),
    ("PUT", "/info/collections", "GET"), ("DELETE", "/info/quota", "GET"), ("POST", "/info/collection_usage", "GET"),
    ("PATCH", "/storage/xx", "DELETE, GET, POST, PUT"), ("HEAD", "/storage/xx", "DELETE, GET, POST, PUT"), ("HEAD", "/info/collections", "GET"),
    ("OPTIONS", "/storage/xx", "DELETE, GET, POST, PUT"), ("HEAD", "/storage/xx/a", "DELETE, GET, PUT"), ("LOCK", "/info/quota", "GET")])
def test_e54_wrong_methods_are_405_and_name_the_right_ones(user11, method, path, allow):
    written = user11.save("xx", "a", "x")
    r = user11.storage(method, path, b"{}" if method in ("PUT", "POST", "PATCH") else None, expect=405)
    assert ", ".join(sorted(r.header("Allow").replace(" ", "").split(","))) == allow
    assert user11.info() == {"xx": written}


@pytest.mark.parametrize("path", ["", "/", "/info", "/info/nothing", "/info/configuration", "/nothing", "/storage/xx/a/b", "/storage//a", "//storage/xx",
                                  "/info//collections", "/Info/collections", "/storages/xx", "/info/collectionsx", "/info/collections/x"])
def test_unknown_paths_are_404(user11, path):
    user11.get(path, expect=404)
    user11.get(path, expect=404, authorization="")


@pytest.mark.parametrize("name", ["a%20b", "a$b", "a:b", "a%C3%A4", "a@b", "%00", "a%2Fb", "{a}", "~", "a%25b", "a,b"])
def test_users_with_illegal_names_are_404(user11, name):
    user11.name = name
    user11.get("/info/collections", expect=404, authorization=user11.authorization("x", "y"))


def test_a_request_line_of_12_kib_is_read(user11):
    user11.save("xx", "a", "x")
    ids = ",".join(["%7B" + "x" * 36 + "%7D"] * 99 + ["a"])
    assert user11.ids("xx", "ids=" + ids) == ["a"]
    assert user11.ids("xx", "ids=a&unknown=" + "y" * (12 * 1024 - 100)) == ["a"]
    target = f"/1.1/{user11.name}/storage/xx?unknown={'y' * 200_000}"
    r = raw_exchange("127.0.0.1", user11.server.port, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert r is None or r.status in (400, 413, 414, 431), f"{r!r}"


# ---- Basic ----

def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


@pytest.mark.parametrize("path", ["/info/collections", "/info/quota", "/storage/xx", "/storage/xx/a", "/storage/meta/global"])
def test_without_credentials_it_is_401(user11, path):
    r = user11.get(path, authorization="", expect=401, code=0)
    assert r.header("WWW-Authenticate") == 'Basic realm="Sync"'


BAD = ["Basic", "Basic ", "Basic\t", "Basic !!!!", "Basic " + b64("nocolon"), "Basic " + b64(""), "Basic " + b64(":"), "Basic YQ", "Basic =",
       "Basic YTpi YTpi", "Bearer x", "Digest username=x", "Hawk id=x", "BasicYTpi", "x" * 5000, "Basic " + "A" * 9000,
       "Basic " + b64(b"name:\xff\xfe"), "Basic " + b64("\0:\0"), "Basic " + b64("ä:x"), "Basic " + b64("<script>:x"), "Basic " + b64("a/b:c")]


@pytest.mark.parametrize("header", BAD, ids=lambda h: repr(h[:24]))
@pytest.mark.parametrize("method, path", [("GET", "/info/collections"), ("PUT", "/storage/xx/a"), ("DELETE", "/storage")])
def test_malformed_credentials_are_401(user11, header, method, path):
    user11.storage(method, path, {"payload": "x"} if method == "PUT" else None, authorization=header, expect=401, code=0,
                   headers={"X-Confirm-Delete": "1"} if method == "DELETE" else None)


def test_wrong_credentials_are_401_and_look_all_the_same(stack, user11):
    other, unknown = stack.user11(), stack.user11(register=False)
    written = user11.save("xx", "a", "x")
    answers = [user11.get("/info/collections", authorization=a, expect=401, code=0) for a in (
        user11.authorization(password="wrong"), user11.authorization(password=""), user11.authorization(password=user11.password + " "),
        user11.authorization(password=user11.password.upper()), user11.authorization(name=""), other.authorization(),
        user11.authorization(name=other.name), user11.authorization(password=other.password + "x"))]
    answers.append(unknown.get("/info/collections", expect=401, code=0))
    shape = {tuple(sorted((n, v) for n, v in r.headers if n.lower() not in ("date", "x-weave-timestamp"))) for r in answers}
    assert len(shape) == 1, shape
    user11.put("/storage/xx/a", {"payload": "y"}, authorization=user11.authorization(password="wrong"), expect=401)
    user11.delete("/storage", headers={"X-Confirm-Delete": "1"}, authorization=other.authorization(), expect=401)
    assert user11.info() == {"xx": written}


@pytest.mark.parametrize("password", ["with:colon:s", "with!at@eq=xxxx", "with space xx", "with\ttab xxx", "with\nnewline", "αβγδεζηθ", "☃☃☃ snow man",
                                      ":leading colon", "trailing colon:", "x" * 1000, "\U0001f600\U0001f600\U0001f600", "a\u0301bcdefgh"])
def test_a_password_may_hold_anything(stack, password):
    user = stack.user11(password=password)
    assert user.info() == {}
    for wrong in (password + "x", password[:-1], password.partition(":")[0], password.strip(":")):
        if wrong != password:
            user.get("/info/collections", authorization=user.authorization(password=wrong), expect=401)


@pytest.mark.parametrize("form", ["basic {}", "BASIC {}", "Basic  {}"])
def test_the_scheme_is_found_in_any_case(user11, form):
    token = user11.authorization().partition(" ")[2]
    assert user11.get("/info/collections", authorization=form.format(token)).json() == {}


def test_two_credentials_are_refused(user11):
    for second in (user11.authorization(), "Basic " + b64("a:b")):
        r = user11._connection(user11.server.url).request("GET", f"/1.1/{user11.name}/info/collections",
                                                         [("Authorization", user11.authorization()), ("Authorization", second)])
        check_promises(r)
        assert r.status in (400, 401), f"{r!r}"


def test_a_hawk_token_opens_no_1_1_url(stack, user11):
    other = stack.user()
    target = f"/1.1/{user11.name}/info/collections"
    user11.request("GET", target, authorization=other.sign("GET", target), expect=401, code=0)


def test_a_password_opens_no_1_5_url(stack, user11):
    from lib.wire import Connection
    r = Connection("127.0.0.1", stack.heddle.port).request("GET", "/1.5/1/info/collections", [("Authorization", user11.authorization())])
    assert r.status == 401


def test_a_changed_password_counts_at_once_and_the_old_one_no_more(user11):
    written = user11.save("xx", "a", "x")
    before = user11.authorization()
    user11.account("POST", "/password", "another password 9")
    user11.get("/info/collections", authorization=before, expect=401)
    user11.password = "another password 9"
    assert user11.info() == {"xx": written}
    user11.get("/info/collections", authorization=before, expect=401)


def test_a_deleted_account_is_401_and_its_records_are_gone_for_the_next(stack, user11):
    user11.save("xx", "a", "x")
    assert user11.account("DELETE").text == "1"
    for path in ("/info/collections", "/storage/xx", "/storage/meta/global"):
        user11.get(path, expect=401)
    again = user11.again()
    again.register()
    assert again.info() == {} and again.ids("xx") == []
