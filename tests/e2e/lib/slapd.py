"""Throw-away OpenLDAP servers: cn=config in a temporary folder, Heddle's schema and database template as an operator would load them,
on a unix socket and, if wished, a port of 127.0.0.1. A server can be a provider or a replica of one."""
import base64
import os
import shutil
import subprocess
import urllib.parse
from pathlib import Path

from .processes import ROOT, Process, free_port

SCHEMA = ROOT / "schema" / "ldap"
SYSTEM_SCHEMA = Path("/etc/ldap/schema")
MODULES = Path("/usr/lib/ldap")
ACTIVE_DIRECTORY = Path(__file__).with_name("active_directory.ldif")

SUFFIX = "dc=sync,dc=test"
ROOT_DN, ROOT_PASSWORD = f"cn=root,{SUFFIX}", "root secret"
SERVICE_DN, SERVICE_PASSWORD = f"cn=heddle-directory,{SUFFIX}", "service secret"
REPLICATOR_DN, REPLICATOR_PASSWORD = f"cn=replicator,{SUFFIX}", "replicator secret"
PEOPLE = f"ou=staff,{SUFFIX}"


def _program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not path:
        raise RuntimeError(f"{name} is not installed (Debian packages slapd and ldap-utils)")
    return path


def ldif_value(name, value):
    """One line of LDIF, in base64 whatever it holds."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    return f"{name}:: {base64.b64encode(raw).decode()}\n"


def make_certificate(folder):
    """A key and a certificate of 127.0.0.1 and localhost that signs itself: (cert, key)."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                    "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return cert, key


class Slapd(Process):
    """modules: what beyond back_mdb to load. schemas: files beyond the usual ones. tcp, tls: also ldap:// (with StartTLS) and ldaps:// on loopback.
    provider: another Slapd to replicate from. base: where Heddle's tree may be (access rules); the suffix if not told.
    durable: also against the power. What stands in the folder already is used as it is."""

    name = "slapd"

    def __init__(self, folder, modules=("argon2", "pw-sha2", "syncprov"), tcp=False, tls=False, provider=None, base=SUFFIX,
                 durable=False, schemas=()):
        super().__init__(folder)
        self.modules, self.provider, self.base, self.durable = modules, provider, base, durable
        self.schemas = schemas
        self.socket = self.folder / "ldapi"
        self.url = "ldapi://" + urllib.parse.quote(str(self.socket), safe="")
        self.port = free_port() if tcp else None
        self.tls_port = free_port() if tls else None
        self.cert, self.key = make_certificate(self.folder) if tls else (None, None)
        self.config, self.data = self.folder / "slapd.d", self.folder / "db"
        self._make()

    # ---- making ----

    def _make(self):
        made = self.folder / "made"
        if made.exists():
            return
        for d in (self.config, self.data):
            shutil.rmtree(d, ignore_errors=True)  # of somebody who was interrupted
            d.mkdir()
        self._slapadd(0, self._config_ldif())
        if not self.provider:
            self._slapadd(1, self._first_entries())
        made.touch()

    def _slapadd(self, database, ldif):
        r = subprocess.run([_program("slapadd"), "-F", str(self.config), "-n", str(database)], input=ldif, text=True, capture_output=True)
        if r.returncode != 0:
            raise RuntimeError(f"slapadd: {r.stderr}")

    def _config_ldif(self):
        head = [f"""dn: cn=config
objectClass: olcGlobal
cn: config
olcPidFile: {self.folder / 'pid'}
"""]
        if self.cert:
            head.append(f"olcTLSCertificateFile: {self.cert}\nolcTLSCertificateKeyFile: {self.key}\n")
        head.append(f"\ndn: cn=module,cn=config\nobjectClass: olcModuleList\ncn: module\nolcModulePath: {MODULES}\nolcModuleLoad: back_mdb\n")
        head += [f"olcModuleLoad: {m}\n" for m in self.modules]
        head.append("\ndn: cn=schema,cn=config\nobjectClass: olcSchemaConfig\ncn: schema\n\n")
        for f in (SYSTEM_SCHEMA / "core.ldif", SYSTEM_SCHEMA / "cosine.ldif", SYSTEM_SCHEMA / "inetorgperson.ldif",
                  *self.schemas, SCHEMA / "heddle.ldif"):
            head.append(f.read_text() + "\n")
        me = f"gidNumber={os.getgid()}+uidNumber={os.getuid()},cn=peercred,cn=external,cn=auth"
        head.append(f"""dn: olcDatabase={{0}}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {{0}}config
olcAccess: to * by dn.exact="{me}" manage by * none

""")
        head.append(self.database_ldif())
        if "syncprov" in self.modules:
            head.append("""
dn: olcOverlay=syncprov,olcDatabase={1}mdb,cn=config
objectClass: olcSyncProvConfig
olcOverlay: syncprov
""")
        return "".join(head)

    def database_ldif(self):
        words = {"@SUFFIX@": SUFFIX, "@BASE@": self.base, "@FOLDER@": str(self.data), "@ROOTDN@": ROOT_DN, "@ROOTPW@": ROOT_PASSWORD,
                 "@SERVICE@": SERVICE_DN, "@REPLICATOR@": REPLICATOR_DN}
        text = (SCHEMA / "database.ldif").read_text().replace("olcDatabase=mdb,", "olcDatabase={1}mdb,").replace("olcDatabase: mdb",
                                                                                                                "olcDatabase: {1}mdb")
        for word, value in words.items():
            text = text.replace(word, value)
        text = text.rstrip("\n") + "\n"
        if not self.durable:
            text += "olcDbEnvFlags: nosync\n"  # durable against a killed process, not against the power
        if self.provider:
            text += (f'olcSyncrepl: rid=001 provider={self.provider.url} bindmethod=simple binddn="{REPLICATOR_DN}" '
                     f'credentials="{REPLICATOR_PASSWORD}" searchbase="{SUFFIX}" type=refreshAndPersist retry="1 +" '
                     f'schemachecking=on\nolcUpdateRef: {self.provider.url}\n')
        return text

    @staticmethod
    def _first_entries():
        out = f"dn: {SUFFIX}\nobjectClass: domain\ndc: sync\n\n"
        for dn, password in ((SERVICE_DN, SERVICE_PASSWORD), (REPLICATOR_DN, REPLICATOR_PASSWORD)):
            cn = dn.split(",")[0].partition("=")[2]
            out += f"dn: {dn}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: {cn}\n"
            out += ldif_value("userPassword", password) + "\n"
        out += f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: staff\n\n"
        return out

    # ---- living ----

    def argv(self):
        urls = [self.url]
        if self.port:
            urls.append(f"ldap://127.0.0.1:{self.port}")
        if self.tls_port:
            urls.append(f"ldaps://127.0.0.1:{self.tls_port}")
        return [_program("slapd"), "-d", os.environ.get("HEDDLE_SLAPD_DEBUG", "0"), "-F", str(self.config), "-h", " ".join(urls)]

    def ready(self):
        """It answers; and a replica has taken over the account that Heddle's programs sign in with."""
        login = ["-D", SERVICE_DN, "-w", SERVICE_PASSWORD] if self.provider else []
        return self._tool("ldapsearch", "-x", *login, "-s", "base", "-b", "", "-o", "nettimeout=10", check=False).returncode == 0

    def _tool(self, name, *args, stdin=None, check=True):
        r = subprocess.run([_program(name), "-H", self.url, *args], input=stdin, text=True, capture_output=True,
                           env={**os.environ, "LDAPNOINIT": "1"})
        if check and r.returncode != 0:
            raise RuntimeError(f"{name} {' '.join(args)}: {r.stderr}{r.stdout}")
        return r

    def as_root(self, tool, *args, stdin=None, check=True):
        """ldapadd, ldapmodify, ldapdelete, ldapsearch as the one who may do everything in Heddle's database."""
        return self._tool(tool, "-x", "-D", ROOT_DN, "-w", ROOT_PASSWORD, *args, stdin=stdin, check=check).stdout

    def add_person(self, uid, password, mail=None):
        """Somebody who is in the tree for other reasons: an inetOrgPerson (guest layout)."""
        ldif = f"dn: uid={uid},{PEOPLE}\nobjectClass: inetOrgPerson\n"
        for name, value in (("uid", uid), ("cn", uid), ("sn", uid), ("userPassword", password), ("mail", mail)):
            ldif += ldif_value(name, value) if value else ""
        self.as_root("ldapadd", stdin=ldif)

    def settings(self, base=None, servers=None):
        """What Heddle's programs are told about it, as --set options."""
        return {"directory.backend": "ldap", "ldap.provider": self.url, "ldap.base": base or self.base, "ldap.bind_dn": SERVICE_DN,
                "ldap.bind_password": SERVICE_PASSWORD, **(servers or {})}
