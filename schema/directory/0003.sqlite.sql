-- Of what a deleted account left, the last data area alone had a seat: the older ones (replaced client states) shared it.
ALTER TABLE erases ADD COLUMN seat INTEGER NOT NULL DEFAULT 0;
