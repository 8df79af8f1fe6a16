-- What past deliveries taught about arrival times, and what was estimated when.

CREATE TABLE eta_models (
  operator_id uuid PRIMARY KEY REFERENCES operators,
  version integer NOT NULL,
  learned jsonb NOT NULL,
  updated_at timestamptz NOT NULL
);
CALL protect('eta_models', 'platform');

-- A few a delivery: when it got a driver, when it was picked up, and every five minutes. `inputs` are the legs.
CREATE TABLE eta_predictions (
  business_id uuid NOT NULL REFERENCES businesses,
  delivery_id uuid NOT NULL,
  phase text NOT NULL CHECK (phase IN ('to_pickup', 'to_dropoff')),
  slot bigint NOT NULL,
  operator_id uuid NOT NULL,
  driver_id uuid NOT NULL REFERENCES driver_profiles,
  at timestamptz NOT NULL,
  source text NOT NULL,
  model_version integer NOT NULL,
  inputs jsonb NOT NULL,
  estimate_s integer NOT NULL,
  p50_s integer NOT NULL,
  p90_s integer NOT NULL,
  actual_s integer,
  PRIMARY KEY (business_id, delivery_id, phase, slot),
  FOREIGN KEY (business_id, delivery_id) REFERENCES deliveries (business_id, id),
  FOREIGN KEY (operator_id, business_id) REFERENCES businesses (operator_id, id)
);
CREATE INDEX eta_predictions_operator ON eta_predictions (operator_id, business_id, at);
CREATE INDEX eta_predictions_driver ON eta_predictions (driver_id);
CREATE INDEX eta_predictions_age ON eta_predictions (at);
CALL protect('eta_predictions', 'business_id');

-- When its goods were ready, where the kitchen said so; how late the customer was last told it would be; whether it
-- has taught what there is to learn from it.
ALTER TABLE deliveries ADD COLUMN was_ready_at timestamptz;
ALTER TABLE deliveries ADD COLUMN delay_told_s integer;
ALTER TABLE deliveries ADD COLUMN eta_learned boolean NOT NULL DEFAULT false;
CREATE INDEX deliveries_unlearned ON deliveries (operator_id, finished_at) WHERE status = 'delivered' AND NOT eta_learned;
CREATE INDEX stops_done ON stops (driver_id, done_at) WHERE done_at IS NOT NULL;
