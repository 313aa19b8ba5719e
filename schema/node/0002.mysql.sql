-- Facts of the whole node that its processes share and that outlive them.
CREATE TABLE IF NOT EXISTS notes (
    name  VARBINARY(64)   NOT NULL PRIMARY KEY,
    value VARBINARY(4000) NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=binary;
