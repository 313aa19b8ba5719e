-- One file of a node's store; users are spread over several files (uid mod their number). All times are milliseconds since 1970,
-- stamps of Sync have a last digit 0. Tables have rowids on purpose: WITHOUT ROWID made reading a collection 2.6 times slower.

-- Facts of the whole folder; only the first file's rows are read.
CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
);

-- The fence, the clock and the collections of each user: the one row that a writer locks.
CREATE TABLE heads (
    uid         INTEGER NOT NULL PRIMARY KEY,
    epoch       INTEGER NOT NULL, -- of the owner; credentials must name it
    state       INTEGER NOT NULL, -- enum head_state of node/store/store.h
    since       INTEGER NOT NULL, -- when this state began
    move_id     BLOB,             -- the move that brought it into this state
    clock       INTEGER NOT NULL, -- last stamp ever given; never falls
    modified    INTEGER NOT NULL, -- storage time that clients see; 0 after a wipe
    used_bytes  INTEGER NOT NULL, -- payload bytes, an upper bound
    quota_bytes INTEGER NOT NULL, -- -1: the node's setting
    colls       BLOB NOT NULL     -- numbers, names and stamps of collections, packed by node/store/head.c
);

CREATE TABLE items (
    uid           INTEGER NOT NULL,
    coll          INTEGER NOT NULL, -- number of the collection within this user, from heads.colls
    id            BLOB NOT NULL,
    modified      INTEGER NOT NULL,
    expires       INTEGER,          -- NULL: never
    sortindex     INTEGER,
    parentid      BLOB,
    predecessorid BLOB,
    payload       BLOB NOT NULL
);
CREATE UNIQUE INDEX items_key ON items (uid, coll, id);
-- With the id, so that orders by time need no sorting: ties are broken by it.
CREATE INDEX items_modified ON items (uid, coll, modified, id);
CREATE INDEX items_expires ON items (expires) WHERE expires IS NOT NULL;

-- Parts of one upload, invisible until the commit.
CREATE TABLE batches (
    uid     INTEGER NOT NULL,
    id      BLOB NOT NULL,
    coll    BLOB NOT NULL,    -- the name: the collection need not exist yet
    created INTEGER NOT NULL,
    touched INTEGER NOT NULL,
    items   INTEGER NOT NULL,
    bytes   INTEGER NOT NULL  -- payloads appended, repeated ids counted each time
);
CREATE UNIQUE INDEX batches_key ON batches (uid, id);
CREATE INDEX batches_created ON batches (created);

-- A row is a run of records, packed by node/store/patches.c: id is how many records of the batch come before it, in ten digits, payload
-- the run. The columns in between held single records in programs of before, and hold nothing.
CREATE TABLE batch_items (
    uid           INTEGER NOT NULL,
    batch         BLOB NOT NULL,
    id            BLOB NOT NULL,
    fields        INTEGER NOT NULL, -- bits: which fields the upload names (node/store/dialect.h)
    ttl           INTEGER,          -- seconds from the commit
    sortindex     INTEGER,
    parentid      BLOB,
    predecessorid BLOB,
    payload       BLOB NOT NULL
);
CREATE UNIQUE INDEX batch_items_key ON batch_items (uid, batch, id);
