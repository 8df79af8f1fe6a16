-- A pause that is over is kept: a day that is played again holds what was held that day.
ALTER TABLE paused_zones ADD COLUMN ended_at timestamptz;

-- Where idle drivers were told that work comes from. `declined_at` is when one said that he would rather not.
CREATE TABLE driver_moves (
  id uuid PRIMARY KEY,
  operator_id uuid NOT NULL REFERENCES operators,
  driver_id uuid NOT NULL REFERENCES driver_profiles,
  name text NOT NULL,
  lat double precision NOT NULL,
  lng double precision NOT NULL,
  saves_s integer NOT NULL,
  sent_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  declined_at timestamptz
);
CREATE INDEX driver_moves_operator ON driver_moves (operator_id, sent_at);
CREATE INDEX driver_moves_driver ON driver_moves (driver_id, sent_at);
-- One suggestion at a time.
CREATE UNIQUE INDEX driver_moves_open ON driver_moves (driver_id) WHERE ended_at IS NULL;
CALL protect('driver_moves', 'driver_id');
-- A business sees (and can't change) where its own drivers were sent.
CREATE POLICY dedicated ON driver_moves AS PERMISSIVE FOR SELECT TO PUBLIC USING (
  EXISTS (SELECT FROM driver_business_assignments a
          WHERE a.driver_id = driver_moves.driver_id AND a.business_id = (SELECT onward.current_business())));
