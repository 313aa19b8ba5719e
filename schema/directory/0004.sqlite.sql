-- Invite codes (ou=invites). hash: keyed, of the whole code; the key is not kept here.
CREATE TABLE invites (
    id        TEXT PRIMARY KEY,
    hash      TEXT NOT NULL,                        -- heddleHash
    note      TEXT,                                 -- heddleNote
    made_by   TEXT,                                 -- heddleBy
    uses      INTEGER NOT NULL,                     -- heddleUses
    left_over INTEGER NOT NULL CHECK (left_over BETWEEN 0 AND uses), -- heddleLeft
    made      INTEGER NOT NULL,                     -- heddleCreated, ms
    ends      INTEGER NOT NULL                      -- heddleEnds, ms
) WITHOUT ROWID;

-- Registrations under way, which have taken a use (heddleTaker: "<uid> <ms>").
CREATE TABLE invite_takers (
    invite TEXT NOT NULL REFERENCES invites (id) ON DELETE CASCADE,
    taker  TEXT NOT NULL,
    PRIMARY KEY (invite, taker)
) WITHOUT ROWID;
