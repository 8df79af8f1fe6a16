-- What became of each fix, and how far its device's clock was off; fixes that have no place in the history; filters.

ALTER TABLE driver_locations ADD COLUMN verdict text NOT NULL DEFAULT 'live';
ALTER TABLE driver_locations ADD COLUMN clock_ahead_ms bigint NOT NULL DEFAULT 0;

CREATE TABLE rejected_fixes (
  id uuid PRIMARY KEY,
  driver_id uuid NOT NULL,
  operator_id uuid NOT NULL,
  received_at timestamptz NOT NULL,
  reason text NOT NULL,
  raw jsonb NOT NULL
);
CREATE INDEX rejected_fixes_driver ON rejected_fixes (driver_id, received_at DESC);
CREATE INDEX rejected_fixes_received ON rejected_fixes (received_at);
CALL protect('rejected_fixes', 'driver_id');

-- Per vehicle the limits that differ from the shipped ones: {"bicycle": {"speed_mps_max": 20}}.
ALTER TABLE operators ADD COLUMN fix_filters jsonb NOT NULL DEFAULT '{}';
