-- When an account was disabled (heddleDisabled, ms): a node that starts hears whose tokens are void.
ALTER TABLE accounts ADD COLUMN disabled INTEGER;
CREATE INDEX accounts_by_disabled ON accounts (disabled) WHERE disabled IS NOT NULL;
