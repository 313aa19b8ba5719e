"""What our pages name has to be there: files, sections, settings, and the operator's commands with their options; and a table's rows stand
below its head."""
import functools
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FENCE = re.compile(r'^```.*?^```', re.S | re.M)
ROOMS = ('admin/', 'common/', 'directory/', 'docs/', 'lb-rules/', 'node/', 'schema/', 'tests/')
ENDINGS = ('.c', '.h', '.py', '.sh', '.md', '.sql', '.ldif')
DATA = ('.sock', '.sqlite', '.ini', '.log')


@functools.cache
def tracked():
    return set(subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def pages():
    return sorted(p for p in tracked() if p.endswith('.md'))


@functools.cache
def text_of(path):
    with open(os.path.join(ROOT, path)) as f:
        return f.read()


def prose(path):
    return FENCE.sub('', text_of(path))


@functools.cache
def headings(path):
    return [m.strip() for m in re.findall(r'^#+ (.*)$', prose(path), re.M)]


def anchor(heading):
    return re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')


def links(path):
    for target in re.findall(r'\]\(([^)\s]+)\)', prose(path)):
        if re.match(r'[a-z]+:', target):
            continue
        name, _, section = target.partition('#')
        there = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        if not os.path.exists(os.path.join(ROOT, there)):
            yield f'the link {target} leads nowhere'
        elif section and section not in map(anchor, headings(there)):
            yield f'{there} has no section #{section}'


def sections(path):
    """operating.md, "New users"."""
    for name, section in re.findall(r'([\w/-]+\.md)[`)\]]*,? "([^"]+)"', prose(path)):
        named = [p for p in pages() if p.endswith('/' + name) or p == name]
        begins = [h for p in named for h in headings(p) + re.findall(r'^(?:\* )?\*\*(.+?)\*\*', prose(p), re.M)]
        if not any(b.startswith(section) for b in begins):
            yield f'{name} has no section "{section}"'


def files(path):
    for name in re.findall(r'`([\w./-]+)`', prose(path)):
        if name.startswith(ROOMS) and name.endswith(ENDINGS) and not os.path.exists(os.path.join(ROOT, name)):
            yield f'there is no file {name}'


def settings(path):
    known = set(re.findall(r'^\| `([a-z_]+\.[a-z_]+)`', text_of('docs/settings.md'), re.M))
    first = {k.partition('.')[0] for k in known}
    for key in re.findall(r'`([a-z_]+\.[a-z_]+)(?: ?=[^`]*)?`', prose(path)):
        if key.partition('.')[0] in first and not key.endswith(ENDINGS + DATA) and key not in known:
            yield f'there is no setting {key}'


def tables(path):
    lines = ['', *prose(path).split('\n'), '']
    for before, line, after in zip(lines, lines[1:], lines[2:]):
        if line.startswith('|') and not before.startswith('|') and not re.fullmatch(r'\|[ |:-]+\|', after):
            yield f'a row without a table: {line[:60]}'


class Commands:
    """heddle-admin VERB [NOUN] and the options of each, as its own help has them."""

    def __init__(self, build):
        self.program = os.path.join(ROOT, build, 'heddle-admin')

    @functools.cache
    def help(self, *words):
        done = subprocess.run([self.program, *words, '--help'], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else None

    def wrong(self, line):
        """What is wrong with "heddle-admin WORD …" as somebody would type it; None: nothing."""
        words = re.sub(r'\s#.*', '', line).split()[1:]
        while words and words[0] in ('--config', '--set'):
            del words[:2]
        if not words or not re.fullmatch('[a-z-]+', words[0]) or words[0].startswith('-'):
            return None
        verb = words[:1]
        page = self.help(*verb)
        if page is None:
            return f'heddle-admin knows no {verb[0]}'
        if 'Usage: ' not in page:  # a group of verbs
            if len(words) < 2 or not re.fullmatch('[a-z]+', words[1]):
                return None
            verb = words[:2]
            page = self.help(*verb)
            if page is None:
                return f'heddle-admin knows no {" ".join(verb)}'
        odd = [w.partition('=')[0] for w in words if re.match('--[a-z]', w)]
        odd = [w for w in odd if not re.search(rf'^\s.*{w}\b', page, re.M)]
        return f'heddle-admin {" ".join(verb)} has no {", ".join(odd)}' if odd else None

    def typed(self, path):
        """Command lines of a page: in fences, and whole ones between backticks."""
        text = text_of(path)
        for block in FENCE.findall(text):
            yield from re.findall(r'^(?:# |\$ |\s*)(heddle-admin .*?)(?:[|;>&].*)?$', block, re.M)
        yield from re.findall(r'`(heddle-admin [^`]+)`', prose(path))

    def all(self, path):
        for line in self.typed(path):
            found = self.wrong(line.replace('[', ' ').replace(']', ' '))
            if found:
                yield f'{line}: {found}'


def failures(build):
    commands = Commands(build)
    for path in pages():
        for look in (links, sections, files, settings, tables, commands.all):
            for found in look(path):
                yield f'{path}: {found}'
