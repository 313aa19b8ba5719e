#!/usr/bin/python3
"""Fails on a wrong arrow: every #include and every link line against the table of rooms in docs/architecture.md.

A room is a folder and a target. It may use the rooms named behind it and what those may use; a library belongs to the
rooms that it is named at, and nobody else includes its headers. Ends with "N passed, N failed": one check for each source file,
each link line and each program's whole chain, and one for each planted mistake that must be found.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# target: (folder, rooms it may link to, libraries of its own)
ROOMS = {
    'base':     ('common/base',       [],                         ['jansson', 'inih', 'threads', 'm']),
    'auth':     ('common/auth',       ['base'],                   ['openssl']),
    'web':      ('common/web',        ['auth'],                   ['microhttpd', 'curl']),
    'page':     ('common/page',       ['web'],                    []),
    'store':    ('node/store',        ['auth'],                   ['mysql', 'sqlite']),
    'cache':    ('node/cache',        ['base'],                   ['hiredis']),
    'sync':     ('node/sync',         ['store', 'cache', 'web'],  []),
    'nodelib':  ('node',              ['sync'],                   []),
    'backend':  ('directory/backend', ['auth'],                   ['ldap', 'sqlite', 'argon2', 'crypt']),
    'mail':     ('directory/mail',    ['base'],                   ['curl']),
    'dirlib':   ('directory',         ['backend', 'mail', 'page'], ['idn2', 'qrencode']),
    'adminlib': ('admin',             ['page'],                   []),
}
PROGRAMS = {
    'heddle-node': ['nodelib'],
    'heddle-directory': ['dirlib'],
    'heddle-admin': ['adminlib', 'web'],
    'heddle': ['nodelib', 'dirlib', 'adminlib'],
}
# Files with a licence of their own.
ONEBOX = 'admin/onebox.c'          # the program `heddle`: may see both sides
EVERYWHERE = ('schema/',)          # one generated table, declared in schema/embedded.h

# header (or the beginning of its name): library
LIBRARY_OF_HEADER = {
    'jansson.h': 'jansson', 'ini.h': 'inih', 'openssl/': 'openssl', 'microhttpd.h': 'microhttpd', 'curl/': 'curl',
    'mysql': 'mysql', 'mariadb/': 'mysql', 'errmsg.h': 'mysql', 'sqlite3.h': 'sqlite', 'hiredis/': 'hiredis',
    'ldap.h': 'ldap', 'lber.h': 'ldap', 'argon2.h': 'argon2', 'idn2.h': 'idn2', 'qrencode.h': 'qrencode', 'cmocka.h': 'cmocka',
}
# What stands in link lines: library
LIBRARY_OF_LINK = {
    'PkgConfig::JANSSON': 'jansson', 'PkgConfig::INIH': 'inih', 'PkgConfig::OPENSSL': 'openssl',
    'PkgConfig::LIBMICROHTTPD': 'microhttpd', 'PkgConfig::LIBCURL': 'curl', 'PkgConfig::MARIADB': 'mysql',
    'PkgConfig::SQLITE3': 'sqlite', 'PkgConfig::HIREDIS': 'hiredis', 'PkgConfig::LIBARGON2': 'argon2',
    'PkgConfig::LIBIDN2': 'idn2', 'PkgConfig::LIBQRENCODE': 'qrencode', 'Threads::Threads': 'threads', 'm': 'm', 'ldap': 'ldap',
    'lber': 'ldap', 'PkgConfig::LDAP': 'ldap', 'crypt': 'crypt', 'cmocka': 'cmocka',
}
# Libraries whose values travel through our headers: whoever may use the room may use them.
OPEN_LIBRARIES = {'jansson', 'openssl'}
# What a program must never reach, however long the way.
NEVER = {
    'heddle-node': {'ldap', 'argon2', 'backend', 'dirlib'},
    'heddle-directory': {'mysql', 'hiredis', 'store', 'nodelib'},
    'heddle-admin': {'mysql', 'sqlite', 'ldap', 'hiredis', 'store', 'backend', 'nodelib', 'dirlib'},
}
LIBC = set('''aio.h alloca.h assert.h byteswap.h complex.h crypt.h ctype.h dirent.h dlfcn.h elf.h endian.h err.h errno.h execinfo.h
    fcntl.h fenv.h float.h fnmatch.h ftw.h getopt.h glob.h grp.h ifaddrs.h inttypes.h iso646.h langinfo.h libgen.h limits.h link.h
    locale.h malloc.h math.h memory.h mntent.h netdb.h nl_types.h poll.h pthread.h pty.h pwd.h regex.h resolv.h sched.h search.h
    semaphore.h setjmp.h signal.h spawn.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h
    stdnoreturn.h string.h strings.h sysexits.h syslog.h tar.h termios.h threads.h time.h uchar.h ucontext.h unistd.h utime.h
    wchar.h wctype.h wordexp.h'''.split())
LIBC_FOLDERS = ('sys/', 'arpa/', 'net/', 'netinet/', 'linux/', 'bits/', 'asm/')


def reach(room):
    """The room, all rooms it may use, and theirs."""
    seen, todo = set(), [room]
    while todo:
        r = todo.pop()
        if r not in seen:
            seen.add(r)
            todo += ROOMS[r][1]
    return seen


def room_of(path):
    """The target whose folder a path lies in, or None."""
    folder = os.path.dirname(path)
    while folder:
        for target, (home, _, _) in ROOMS.items():
            if folder == home:
                return target
        folder = os.path.dirname(folder)
    return None


def library_of(header):
    for start, library in LIBRARY_OF_HEADER.items():
        if header == start or (start[-1:] != 'h' and header.startswith(start)):
            return library
    return None


def may_include_library(path, room, library):
    if library == 'cmocka':
        return path.startswith('tests/') or os.path.basename(path).startswith(('test_', 'testing'))
    if room is None or library in ROOMS[room][2]:
        return True
    return library in OPEN_LIBRARIES and any(library in ROOMS[r][2] for r in reach(room))


def wrong_include(path, kind, header):
    """Why `path` may not include `header` (kind: '<' or '"'); None if it may."""
    room = room_of(path)
    if kind == '<':
        library = library_of(header)
        if library:
            return None if may_include_library(path, room, library) else f'{room or path} may not use {library}'
        if header in LIBC or header.startswith(LIBC_FOLDERS):
            return None
        return f'<{header}> belongs to no library that tests/layers/run.py knows'
    if room is None or path == ONEBOX or header.startswith(EVERYWHERE):
        return None
    other = room_of(header)
    if other is None:
        return f'"{header}" lies in no room; include paths begin at the root'
    return None if other in reach(room) else f'{room} may not include from {other}'


INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def wrong_includes(path, text):
    for m in INCLUDE.finditer(text):
        why = wrong_include(path, m[1], m[2])
        if why:
            yield f'{path}:{text.count(chr(10), 0, m.start()) + 1}: {why}'


# --- link lines ---

LINK = re.compile(r'(target_link_libraries|room)\s*\(([^)]*)\)')
WORDS = {'PUBLIC', 'PRIVATE', 'INTERFACE'}


def link_lines(text):
    """(line, target, [what it links to]) of all link lines with a plain target name."""
    text = re.sub(r'#[^\n]*', '', text)
    for m in LINK.finditer(text):
        words = [w for w in m[2].split() if w not in WORDS]
        if m[1] == 'room' and len(words) > 1:
            del words[1] # its folder
        if words and '$' not in words[0] and words[0] != 'target':
            yield text.count('\n', 0, m.start()) + 1, words[0], [w for w in words[1:] if '$' not in w]


def wrong_links(path, target, libs):
    """What is wrong with one link line."""
    if path.startswith('tests/'): # suites name the rooms they test
        return
    if target not in ROOMS and target not in PROGRAMS:
        yield f'{path}: the table knows no target {target}'
        return
    may = set(PROGRAMS[target]) if target in PROGRAMS else set(ROOMS[target][1]) | set(ROOMS[target][2])
    for lib in libs:
        name = LIBRARY_OF_LINK.get(lib, lib)
        if name not in may:
            yield f'{path}: {target} may not link to {name}'


def chain(target, links):
    """Everything a program reaches by link lines."""
    seen, todo = set(), [target]
    while todo:
        t = todo.pop()
        for lib in links.get(t, []):
            name = LIBRARY_OF_LINK.get(lib, lib)
            if name not in seen:
                seen.add(name)
                todo.append(name)
    return seen


def forbidden_reach(links):
    """{program: what it reaches and must not}."""
    return {p: sorted(chain(p, links) & never) for p, never in NEVER.items()}


# --- ports of tests ---

FIXED_PORTS = [
    re.compile(r'\bbind\(\(\s*[^,()]+,\s*[1-9][0-9]*\s*\)'),
    re.compile(r'(?:127\.0\.0\.1|localhost|\[::1\]|0\.0\.0\.0):[1-9][0-9]{3,4}\b'),
    re.compile(r'(?<![.\w])port\s*=\s*[1-9][0-9]{3,4}\b'), # not a field that a unix socket leaves unused
    re.compile(r'\bhtons\(\s*[1-9][0-9]{3,4}\s*\)'),
]


def is_helper(path):
    """Code of tests that starts servers: what is beside the tests themselves."""
    name = os.path.basename(path)
    return path.startswith('tests/') and not name.startswith(('test_', 'fuzz_')) and path != 'tests/layers/run.py'


def fixed_ports(path, text):
    if is_helper(path):
        for pattern in FIXED_PORTS:
            for m in pattern.finditer(text):
                yield f'{path}:{text.count(chr(10), 0, m.start()) + 1}: a fixed port: {m[0]}'


# --- planted mistakes ---

PLANTED_INCLUDES = [ # (path, line, is it wrong?)
    ('node/sync/item.c', '#include <ldap.h>', True),
    ('node/store/write.c', '#include "common/web/reply.h"', True),
    ('node/store/write.c', '#include "node/sync/bso.h"', True),
    ('node/cache/redis.c', '#include "common/auth/hawk.h"', True),
    ('node/cache/redis.c', '  #  include  <microhttpd.h>', True),
    ('node/sync/item.c', '#include <microhttpd.h>', True),
    ('node/sync/item.c', '#include "node/node.h"', True),
    ('node/node.c', '#include "directory/directory.h"', True),
    ('node/front.c', '#include <sqlite3.h>', True),
    ('directory/lookup.c', '#include <mysql.h>', True),
    ('directory/lookup.c', '#include <mysqld_error.h>', True),
    ('directory/lookup.c', '#include "node/store/store.h"', True),
    ('directory/lookup.c', '#include <sqlite3.h>', True),
    ('directory/backend/ldap.c', '#include "common/web/call.h"', True),
    ('directory/mail/smtp.c', '#include "common/auth/secrets.h"', True),
    ('admin/move/move.c', '#include "node/store/store.h"', True),
    ('admin/move/move.c', '#include "directory/backend/backend.h"', True),
    ('admin/pages/list.c', '#include "node/node.h"', True),
    ('admin/move/move.c', '#include <sqlite3.h>', True),
    ('common/base/log.c', '#include "common/auth/hawk.h"', True),
    ('common/base/log.c', '#include <openssl/evp.h>', True),
    ('common/web/server.c', '#include "node/node.h"', True),
    ('common/auth/token.c', '#include "directory/directory.h"', True),
    ('common/page/page.c', '#include "directory/directory.h"', True),
    ('common/web/server.c', '#include "common/page/page.h"', True),
    ('directory/screens/page.c', '#include "admin/audit/audit.h"', True),
    ('node/node.c', '#include <cmocka.h>', True),
    ('node/node.c', '#include <unknown/thing.h>', True),
    ('node/node.c', '#include "node.h"', True),
    ('node/sync/item.c', '#include "node/store/store.h"', False),
    ('node/sync/item.c', '#include "common/base/json.h"', False),
    ('node/node.c', '#include <sys/stat.h>', False),
    ('node/store/store.c', '#include <openssl/evp.h>', False),
    ('node/test_node.c', '#include <cmocka.h>', False),
    ('admin/onebox.c', '#include "directory/directory.h"', False),
    ('common/web/io.c', '#include <microhttpd.h>', False),
]
PLANTED_LINKS = [
    ('node/CMakeLists.txt', 'room(store store auth web)', True),
    ('node/CMakeLists.txt', 'target_link_libraries(nodelib PUBLIC sync ldap)', True),
    ('directory/CMakeLists.txt', 'target_link_libraries(dirlib PUBLIC backend\n  mail PkgConfig::MARIADB)', True),
    ('admin/CMakeLists.txt', 'target_link_libraries(heddle-admin PRIVATE adminlib store)', True),
    ('admin/CMakeLists.txt', 'target_link_libraries(surprise PRIVATE base)', True),
    ('directory/CMakeLists.txt', 'target_link_libraries(backend PUBLIC auth ldap lber)', False),
    ('admin/CMakeLists.txt', '# target_link_libraries(heddle-admin PRIVATE store)', False),
    ('admin/CMakeLists.txt', 'target_link_libraries(heddle PRIVATE nodelib dirlib)', False),
]
PLANTED_PORTS = [
    ('tests/e2e/lib/x.py', "s.bind(('127.0.0.1', 8000))", True),
    ('tests/e2e/lib/x.py', "url = 'http://127.0.0.1:8000/'", True),
    ('tests/e2e/conftest.py', 'start(port=5000)', True),
    ('tests/e2e/lib/x.py', "s.bind(('127.0.0.1', 0))", False),
    ('tests/e2e/lib/x.py', "url = f'http://127.0.0.1:{port}/'", False),
    ('tests/e2e/test_x.py', "sign(port=8443)", False),
]


def planted():
    """(claim, did it hold?) for each planted mistake, and for what must not be taken for one."""
    for path, line, wrong in PLANTED_INCLUDES:
        yield f'{line} in {path}', bool(list(wrong_includes(path, 'int x;\n' + line + '\n'))) == wrong
    for path, line, wrong in PLANTED_LINKS:
        found = [w for _, target, libs in link_lines(line) for w in wrong_links(path, target, libs)]
        yield f'{line} in {path}', bool(found) == wrong
    for path, line, wrong in PLANTED_PORTS:
        yield f'{line} in {path}', bool(list(fixed_ports(path, line))) == wrong
    long_way = {'heddle-node': ['nodelib'], 'nodelib': ['sync'], 'sync': ['odd'], 'odd': ['ldap']}
    yield 'a long way to LDAP', forbidden_reach(long_way)['heddle-node'] == ['ldap']


# --- all of it ---

def files():
    """Every source, CMake and Python file of ours."""
    for folder, folders, names in os.walk(ROOT):
        rel = os.path.relpath(folder, ROOT)
        folders[:] = sorted(f for f in folders if not f.startswith('.') and f != '__pycache__'
                            and os.path.normpath(os.path.join(rel, f)) not in ('build', 'var', 'tests/out', 'node_modules'))
        for name in sorted(names):
            if name.endswith(('.c', '.h', '.py')) or name == 'CMakeLists.txt':
                yield os.path.normpath(os.path.join(rel, name))


def main():
    passed, failed, links = 0, 0, {}

    def check(problems):
        nonlocal passed, failed
        problems = list(problems)
        for p in problems:
            print('FAIL', p)
        passed, failed = passed + (not problems), failed + bool(problems)

    for path in files():
        with open(os.path.join(ROOT, path), encoding='utf-8') as f:
            text = f.read()
        if path.endswith(('.c', '.h')):
            check([*wrong_includes(path, text), *fixed_ports(path, text)])
        elif path.endswith('.py'):
            check(fixed_ports(path, text))
        else:
            for _, target, libs in link_lines(text):
                links.setdefault(target, []).extend(libs)
                check(wrong_links(path, target, libs))
    for program, wrong in forbidden_reach(links).items():
        check([f'{program} reaches {", ".join(wrong)}'] if wrong else [])
    for claim, held in planted():
        check([] if held else [f'planted, but judged wrongly: {claim}'])
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
