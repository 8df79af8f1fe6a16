-- How many deliveries of a business one driver may carry at once.

ALTER TABLE businesses ADD COLUMN stack_max integer NOT NULL DEFAULT 2 CHECK (stack_max BETWEEN 1 AND 3);

-- When its driver will be asked (a plan, not a promise); whom a dispatcher chose, and from whom he took it away.
ALTER TABLE deliveries ADD COLUMN planned_at timestamptz;
ALTER TABLE deliveries ADD COLUMN pinned_driver_id uuid REFERENCES driver_profiles;
ALTER TABLE deliveries ADD COLUMN kept_from uuid[] NOT NULL DEFAULT '{}';
CREATE INDEX deliveries_pinned ON deliveries (pinned_driver_id);
