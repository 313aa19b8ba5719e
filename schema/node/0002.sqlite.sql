-- Facts of the whole node that its processes share and that outlive them; only the first file's rows are read.
CREATE TABLE notes (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
);
