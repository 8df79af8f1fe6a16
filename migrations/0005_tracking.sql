-- Position history: every durable fix, in daily partitions that `tracking/history.py` makes ahead of time.

CREATE TABLE driver_locations (
  driver_id uuid NOT NULL,
  operator_id uuid NOT NULL,
  recorded_at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  lat double precision NOT NULL,
  lng double precision NOT NULL,
  accuracy_m real,
  speed_mps real,
  heading_deg real,
  source text NOT NULL DEFAULT '',
  PRIMARY KEY (driver_id, recorded_at)
) PARTITION BY RANGE (recorded_at);
CALL protect('driver_locations', 'driver_id');
