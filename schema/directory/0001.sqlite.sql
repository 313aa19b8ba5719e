-- The directory on SQLite. Columns are the attributes of an account's LDAP entry; NULL is "absent", as there.
CREATE TABLE accounts (
    id             INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,            -- uid: the user name, or <sub>@<domain>
    uid            INTEGER NOT NULL UNIQUE,         -- uidNumber
    mail           TEXT COLLATE NOCASE,
    password       TEXT,                            -- userPassword
    enabled        TEXT NOT NULL DEFAULT 'Yes',     -- account-enabled
    node           TEXT,                            -- syncNode
    placed         TEXT,                            -- heddlePlaced: "<ms> <why>"
    created        INTEGER NOT NULL,                -- heddleCreated, ms
    password_since INTEGER,                         -- heddlePasswordSince, ms
    epoch          INTEGER NOT NULL,                -- heddleEpoch, from 1
    intent         TEXT,                            -- heddleIntent
    client_state   TEXT,                            -- heddleClientState
    generation     INTEGER,                         -- heddleGeneration
    keys_changed   INTEGER,                         -- heddleKeysChanged
    reset          TEXT                             -- heddleReset
);
CREATE INDEX accounts_by_mail ON accounts (mail) WHERE mail IS NOT NULL;
CREATE INDEX accounts_by_node ON accounts (node, name) WHERE node IS NOT NULL;
CREATE INDEX accounts_by_intent ON accounts (name) WHERE intent IS NOT NULL;

-- Attributes with several values: heddleOldState, heddleErase.
CREATE TABLE account_values (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    attr    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (account, attr, value)
) WITHOUT ROWID;
CREATE INDEX account_values_by_attr ON account_values (attr, account);

-- What deleted accounts left behind on their nodes (ou=erase).
CREATE TABLE erases (
    uid   INTEGER PRIMARY KEY,
    node  TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    since INTEGER NOT NULL                          -- ms
);

CREATE TABLE nodes (
    name      TEXT PRIMARY KEY,                     -- host[:port] of its own URL
    url       TEXT NOT NULL,
    address   TEXT NOT NULL,
    node_type TEXT NOT NULL,
    pools     TEXT NOT NULL,
    state     TEXT NOT NULL,
    capacity  INTEGER NOT NULL,
    seats     INTEGER NOT NULL CHECK (seats >= 0),
    opened    INTEGER NOT NULL                      -- ms
) WITHOUT ROWID;

CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    next INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counters (name, next) VALUES ('uid', 1);
