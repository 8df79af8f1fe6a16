-- How an operator and each business want their deliveries dispatched: the fields that differ from the default, as JSON.

ALTER TABLE operators ADD COLUMN policy jsonb NOT NULL DEFAULT '{}';
ALTER TABLE businesses ADD COLUMN policy jsonb NOT NULL DEFAULT '{}';
ALTER TABLE businesses NO FORCE ROW LEVEL SECURITY;
UPDATE businesses SET policy = jsonb_strip_nulls(jsonb_build_object(
  'stack_max', CASE WHEN stack_max <> 2 THEN stack_max END,
  'uses_shared_pool', CASE WHEN NOT uses_shared_pool THEN false END));
ALTER TABLE businesses FORCE ROW LEVEL SECURITY;
ALTER TABLE businesses DROP COLUMN stack_max, DROP COLUMN uses_shared_pool;

-- A business reads (and can't change) the operator whose defaults are its own.
CREATE POLICY ours ON operators AS PERMISSIVE FOR SELECT TO PUBLIC USING (
  id = (SELECT b.operator_id FROM businesses b WHERE b.id = (SELECT onward.current_business())));

-- What a driver can do, what a delivery needs and how much room it takes.
ALTER TABLE driver_profiles ADD COLUMN skills text[] NOT NULL DEFAULT '{}';
ALTER TABLE deliveries ADD COLUMN needs text[] NOT NULL DEFAULT '{}';
ALTER TABLE deliveries ADD COLUMN size smallint NOT NULL DEFAULT 1 CHECK (size BETWEEN 1 AND 100);

-- A delivery for later: picked up from `ready_at` to `pickup_until`, handed over from `dropoff_from` to `promised_at`.
ALTER TABLE deliveries ADD COLUMN pickup_until timestamptz;
ALTER TABLE deliveries ADD COLUMN dropoff_from timestamptz;

-- An offer to several drivers at once holds its delivery together with the others, until one of them accepts.
ALTER TABLE offer_deliveries ADD COLUMN shared boolean NOT NULL DEFAULT false;
DROP INDEX offer_deliveries_one_holder;
CREATE UNIQUE INDEX offer_deliveries_one_holder ON offer_deliveries (delivery_id) WHERE holds AND NOT shared;

-- Where nobody is sent for a while. Without a business it is the operator's, and holds for all of them.
CREATE TABLE paused_zones (
  id uuid PRIMARY KEY,
  operator_id uuid NOT NULL REFERENCES operators,
  business_id uuid REFERENCES businesses,
  area jsonb NOT NULL,
  reason text NOT NULL,
  until timestamptz,
  created_at timestamptz NOT NULL
);
CREATE INDEX paused_zones_operator ON paused_zones (operator_id);
CREATE INDEX paused_zones_business ON paused_zones (business_id);
CALL protect('paused_zones', 'business_id');
CREATE POLICY operators_own ON paused_zones AS PERMISSIVE FOR SELECT TO PUBLIC USING (
  business_id IS NULL
  AND operator_id = (SELECT b.operator_id FROM businesses b WHERE b.id = (SELECT onward.current_business())));
