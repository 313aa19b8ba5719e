"""What the clients of both storage protocols have in common."""


def check_expected(r, expect, code):
    """expect: a status, a tuple of them, or None for any; code: the integer in the body of an error."""
    if expect is not None:
        assert r.status in (expect if isinstance(expect, tuple) else (expect,)), f"expected {expect}\n{r!r}"
    if code is not None:
        assert r.body == str(code).encode(), f"expected the code {code}\n{r!r}"


class Storage:
    """Short forms of `storage(method, target, body, …)`, which each protocol has in its own way."""

    def storage(self, method, target, body=None, **kw):
        raise NotImplementedError

    def get(self, target, **kw):
        return self.storage("GET", target, **kw)

    def put(self, target, body, **kw):
        return self.storage("PUT", target, body, **kw)

    def post(self, target, body, **kw):
        return self.storage("POST", target, body, **kw)

    def delete(self, target, **kw):
        return self.storage("DELETE", target, **kw)

    def info(self, what="collections"):
        return self.get(f"/info/{what}").json()

    def ids(self, coll, query=""):
        """Ids of a collection, in the order of the answer."""
        return self.get(f"/storage/{coll}" + ("?" + query if query else "")).json()

    def full(self, coll, query=""):
        """Records of a collection, in the order of the answer."""
        return self.get(f"/storage/{coll}?" + ("&".join(["full=1"] + ([query] if query else [])))).json()

    def since(self, stamp):
        """Header: X-If-Unmodified-Since."""
        return {"X-If-Unmodified-Since": str(stamp)}
