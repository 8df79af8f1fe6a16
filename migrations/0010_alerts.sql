-- What is wrong right now, since when, and whom it concerns: at most one open alert per (code, subject, business).

CREATE TABLE alerts (
  id uuid PRIMARY KEY,
  operator_id uuid NOT NULL REFERENCES operators,
  business_id uuid,
  code text NOT NULL,
  severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
  subject_kind text CHECK (subject_kind IN ('delivery', 'driver', 'store')),
  subject_id uuid,
  since timestamptz NOT NULL,
  ended_at timestamptz,
  data jsonb NOT NULL DEFAULT '{}',
  FOREIGN KEY (operator_id, business_id) REFERENCES businesses (operator_id, id),
  CHECK ((subject_kind IS NULL) = (subject_id IS NULL))
);
CREATE UNIQUE INDEX alerts_open ON alerts (operator_id, code, business_id, subject_id) NULLS NOT DISTINCT
  WHERE ended_at IS NULL;
CREATE INDEX alerts_operator ON alerts (operator_id, business_id);
CREATE INDEX alerts_business ON alerts (business_id);
CREATE INDEX alerts_ended ON alerts (ended_at) WHERE ended_at IS NOT NULL;
CALL protect('alerts', 'business_id');

-- Why nobody has it is a code with counts, put into words by whoever shows it. Until `retry_at` nobody is asked again.
ALTER TABLE deliveries ALTER COLUMN unassigned_reason TYPE jsonb USING NULL;
ALTER TABLE deliveries ADD COLUMN retry_at timestamptz;

-- A store that closed for now, whatever its opening hours say.
ALTER TABLE stores ADD COLUMN closed_since timestamptz;
ALTER TABLE stores ADD COLUMN closed_reason text NOT NULL DEFAULT '';
-- What a driver should know about a stop before he goes there.
ALTER TABLE stops ADD COLUMN notice text;
