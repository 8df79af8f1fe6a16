-- Routes planned ahead: what was proposed, and the routes that wait until their drivers have to leave.

CREATE TABLE route_plans (
  id uuid PRIMARY KEY,
  operator_id uuid NOT NULL REFERENCES operators,
  business_id uuid REFERENCES businesses,
  plan jsonb NOT NULL,
  made_at timestamptz NOT NULL,
  committed_at timestamptz
);
CREATE INDEX route_plans_operator ON route_plans (operator_id, made_at);
CREATE INDEX route_plans_business ON route_plans (business_id);
CALL protect('route_plans', 'business_id');

-- A route that was committed and is not offered yet. Its row goes when its driver is asked, or when it is given up;
-- its deliveries are then dispatched like any other.
CREATE TABLE planned_routes (
  id uuid PRIMARY KEY,
  plan_id uuid NOT NULL REFERENCES route_plans,
  operator_id uuid NOT NULL REFERENCES operators,
  business_id uuid REFERENCES businesses,
  driver_id uuid NOT NULL REFERENCES driver_profiles,
  start_at timestamptz NOT NULL,
  end_at timestamptz NOT NULL CHECK (end_at > start_at),
  to_pickup_s integer NOT NULL CHECK (to_pickup_s >= 0),
  stops jsonb NOT NULL
);
CREATE INDEX planned_routes_plan ON planned_routes (plan_id);
CREATE INDEX planned_routes_operator ON planned_routes (operator_id, start_at);
CREATE INDEX planned_routes_business ON planned_routes (business_id);
CREATE INDEX planned_routes_driver ON planned_routes (driver_id, start_at);
CALL protect('planned_routes', 'business_id');

ALTER TABLE deliveries ADD COLUMN planned_route_id uuid REFERENCES planned_routes ON DELETE SET NULL;
CREATE INDEX deliveries_planned_route ON deliveries (planned_route_id);

-- A store that closed for now opens by itself at this time.
ALTER TABLE stores ADD COLUMN closed_until timestamptz;
CREATE INDEX stores_closed_until ON stores (closed_until) WHERE closed_until IS NOT NULL;
