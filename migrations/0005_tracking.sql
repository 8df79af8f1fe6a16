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

-- The platform role may not create tables; it may ask for a day's partition.
CREATE FUNCTION make_location_partition(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = onward, pg_temp AS $$
DECLARE
  part text := format('driver_locations_%s', to_char(day, 'YYYYMMDD'));
BEGIN
  IF to_regclass('onward.' || part) IS NULL THEN
    PERFORM pg_advisory_xact_lock(hashtext(part));
    IF to_regclass('onward.' || part) IS NULL THEN
      EXECUTE format('CREATE TABLE onward.%I PARTITION OF onward.driver_locations FOR VALUES FROM (%L) TO (%L)',
                     part, day, day + 1);
      EXECUTE format('CALL onward.protect(%L, ''driver_id'')', 'onward.' || part);
    END IF;
  END IF;
END $$;
REVOKE ALL ON FUNCTION make_location_partition FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_location_partition TO onward_platform;
