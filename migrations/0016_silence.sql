-- Since when the phone of a driver was silent who was taken off line for it; NULL for whoever went himself.

ALTER TABLE driver_profiles ADD COLUMN silent_since timestamptz,
  ADD CONSTRAINT driver_profiles_silent CHECK (silent_since IS NULL OR state = 'offline');
CREATE INDEX driver_profiles_silent ON driver_profiles (operator_id) WHERE silent_since IS NOT NULL;
