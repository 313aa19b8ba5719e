-- A node's store. All times are milliseconds since 1970, stamps of Sync have a last digit 0. Statements end with a semicolon at the
-- end of a line and can be repeated: MySQL commits each of them by itself.

-- The fence, the clock and the collections of each user: the one row that a writer locks.
CREATE TABLE IF NOT EXISTS heads (
    uid         BIGINT        NOT NULL PRIMARY KEY,
    epoch       BIGINT        NOT NULL COMMENT 'of the owner, credentials must name it',
    state       TINYINT       NOT NULL COMMENT 'enum head_state of node/store/store.h',
    since       BIGINT        NOT NULL COMMENT 'when this state began',
    move_id     VARBINARY(64) NULL     COMMENT 'the move that brought it into this state',
    clock       BIGINT        NOT NULL COMMENT 'last stamp ever given, never falls',
    modified    BIGINT        NOT NULL COMMENT 'storage time that clients see, 0 after a wipe',
    used_bytes  BIGINT        NOT NULL COMMENT 'payload bytes, an upper bound',
    quota_bytes BIGINT        NOT NULL COMMENT '-1 is the setting of the node',
    colls       MEDIUMBLOB    NOT NULL COMMENT 'numbers, names and stamps of collections, packed by node/store/head.c'
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=binary;

CREATE TABLE IF NOT EXISTS items (
    uid           BIGINT         NOT NULL,
    coll          INT UNSIGNED   NOT NULL COMMENT 'number of the collection within this user, from heads.colls',
    id            VARBINARY(255) NOT NULL,
    modified      BIGINT         NOT NULL,
    expires       BIGINT         NULL COMMENT 'NULL is never',
    sortindex     BIGINT         NULL,
    parentid      VARBINARY(255) NULL,
    predecessorid VARBINARY(255) NULL,
    payload       LONGBLOB       NOT NULL,
    PRIMARY KEY (uid, coll, id),
    KEY items_modified (uid, coll, modified),
    KEY items_expires (expires)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=binary;

-- Parts of one upload, invisible until the commit.
CREATE TABLE IF NOT EXISTS batches (
    uid     BIGINT        NOT NULL,
    id      VARBINARY(32) NOT NULL,
    coll    VARBINARY(64) NOT NULL COMMENT 'the name, as the collection need not exist yet',
    created BIGINT        NOT NULL,
    touched BIGINT        NOT NULL,
    items   BIGINT        NOT NULL,
    bytes   BIGINT        NOT NULL COMMENT 'payloads appended, repeated ids counted each time',
    PRIMARY KEY (uid, id),
    KEY batches_created (created)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=binary;

-- A row is a run of records, packed by node/store/patches.c: id is how many records of the batch come before it, in ten digits, payload
-- the run. The columns in between held single records in programs of before, and hold nothing.
CREATE TABLE IF NOT EXISTS batch_items (
    uid           BIGINT         NOT NULL,
    batch         VARBINARY(32)  NOT NULL,
    id            VARBINARY(255) NOT NULL,
    fields        INT            NOT NULL COMMENT 'bits, which fields the upload names (node/store/dialect.h)',
    ttl           BIGINT         NULL COMMENT 'seconds from the commit',
    sortindex     BIGINT         NULL,
    parentid      VARBINARY(255) NULL,
    predecessorid VARBINARY(255) NULL,
    payload       LONGBLOB       NOT NULL,
    PRIMARY KEY (uid, batch, id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=binary;
