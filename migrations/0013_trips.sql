-- The phone apps drivers have already, who may look at a trip that is over, and how long positions are kept.

-- An app that knows no sign-in shows a key of its own; it is kept as its SHA-256 only.
CREATE TABLE driver_devices (
  id uuid PRIMARY KEY,
  driver_id uuid NOT NULL REFERENCES driver_profiles,
  key_hash bytea NOT NULL UNIQUE,
  label text NOT NULL,
  hint text NOT NULL,
  created_at timestamptz NOT NULL,
  seen_at timestamptz,
  revoked_at timestamptz
);
CREATE INDEX driver_devices_driver ON driver_devices (driver_id);
CALL protect('driver_devices', 'driver_id');
-- Also a business sees, makes and revokes the keys of its dedicated drivers.
CREATE POLICY employer ON driver_devices AS PERMISSIVE FOR ALL TO PUBLIC USING (
  EXISTS (SELECT FROM driver_business_assignments a
          WHERE a.driver_id = driver_devices.driver_id AND a.business_id = (SELECT onward.current_business())));

-- When a delivery's trip was over: delivered, given up, or as far as it has come; a day at the most.
CREATE FUNCTION trip_ends_at(d deliveries) RETURNS timestamptz LANGUAGE sql STABLE
  RETURN least(d.assigned_at + interval '24 hours', coalesce(d.finished_at, CASE WHEN d.status = 'failed' THEN
    (SELECT max(h.at) FROM delivery_status_history h
     WHERE h.business_id = d.business_id AND h.delivery_id = d.id AND h.status = 'failed') END, now()));

-- What a business may see of where its delivery was: the driver's positions from the assignment to the door, without the
-- minutes in which he stood at another business' stop.
CREATE FUNCTION track_of_delivery(delivery uuid) RETURNS SETOF driver_locations
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = onward, pg_temp AS $$
DECLARE
  around constant interval := interval '1 minute';
  d deliveries;
  ends_at timestamptz;
  elsewhere tstzmultirange;
BEGIN
  SELECT * INTO d FROM deliveries x
    WHERE x.id = delivery AND x.business_id = current_business() AND x.driver_id IS NOT NULL AND x.assigned_at IS NOT NULL;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  ends_at := trip_ends_at(d);
  SELECT range_agg(tstzrange(least(s.arrived_at, s.done_at) - around,
                             greatest(s.arrived_at, coalesce(s.done_at, now())) + around, '[]')) INTO elsewhere
    FROM stops s
    WHERE s.driver_id = d.driver_id AND s.business_id <> d.business_id
      AND least(s.arrived_at, s.done_at) - around < ends_at AND coalesce(s.done_at, now()) + around > d.assigned_at;
  RETURN QUERY SELECT l.* FROM driver_locations l
    WHERE l.driver_id = d.driver_id AND l.recorded_at BETWEEN d.assigned_at AND ends_at
      AND (elsewhere IS NULL OR NOT elsewhere @> l.recorded_at);
END $$;
REVOKE ALL ON FUNCTION track_of_delivery FROM PUBLIC;
GRANT EXECUTE ON FUNCTION track_of_delivery TO onward_app, onward_platform;

-- How long positions are kept, and up to when a driver's were erased: what comes late from before then is not kept.
ALTER TABLE operators ADD COLUMN positions_kept_days integer NOT NULL DEFAULT 90
  CHECK (positions_kept_days BETWEEN 1 AND 3650);
ALTER TABLE driver_profiles ADD COLUMN positions_erased_at timestamptz;

-- The platform role may not drop tables; it may ask for days that nobody needs any more to go.
CREATE FUNCTION drop_location_partitions(before date) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = onward, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
  part text;
  dropped integer := 0;
BEGIN
  FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
              WHERE i.inhparent = 'onward.driver_locations'::regclass
                AND c.relname < format('driver_locations_%s', to_char(before, 'YYYYMMDD')) LOOP
    EXECUTE format('DROP TABLE IF EXISTS onward.%I', part);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;
REVOKE ALL ON FUNCTION drop_location_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_location_partitions TO onward_platform;
