-- Who worked from when to when: written as drivers come, rest and go, read when a day is played again.

CREATE TABLE driver_shifts (
  driver_id uuid NOT NULL REFERENCES driver_profiles,
  operator_id uuid NOT NULL REFERENCES operators,
  started_at timestamptz NOT NULL,
  ended_at timestamptz CHECK (ended_at >= started_at),
  PRIMARY KEY (driver_id, started_at)
);
CREATE UNIQUE INDEX driver_shifts_open ON driver_shifts (driver_id) WHERE ended_at IS NULL;
CREATE INDEX driver_shifts_operator ON driver_shifts (operator_id, started_at);
CALL protect('driver_shifts', 'driver_id');

-- Who is at work now began when his state last changed, as far as anybody knows.
INSERT INTO driver_shifts (driver_id, operator_id, started_at)
  SELECT id, operator_id, state_since FROM driver_profiles WHERE state IN ('available', 'busy');

CREATE INDEX deliveries_day ON deliveries (operator_id, ready_at);
