-- What happened once, until a moment (ou=marks): sessions ended by hand, puzzles solved.
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    ends INTEGER NOT NULL                           -- heddleEnds, ms
) WITHOUT ROWID;
CREATE INDEX marks_by_end ON marks (ends);
