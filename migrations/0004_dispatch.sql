-- The logistic side: deliveries, their stops, the offers that find them a driver, and why.

CREATE TABLE quotes (
  id uuid PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  request jsonb NOT NULL,
  distance_m integer NOT NULL,
  fee_minor bigint NOT NULL,
  driver_pay_minor bigint NOT NULL,
  currency text NOT NULL,
  promised_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (business_id, id)
);
CREATE INDEX quotes_expired ON quotes (expires_at);
CALL protect('quotes', 'business_id');

CREATE TABLE deliveries (
  id uuid PRIMARY KEY,
  operator_id uuid NOT NULL,
  business_id uuid NOT NULL,
  store_id uuid,
  order_id uuid,
  quote_id uuid,
  external_id text,
  short_code text NOT NULL,
  status text NOT NULL CHECK (status IN
    ('pending', 'offered', 'assigned', 'en_route_to_pickup', 'arrived_at_pickup', 'picked_up', 'en_route_to_dropoff',
     'arrived_at_dropoff', 'delivered', 'canceled', 'failed', 'returning', 'returned')),
  version integer NOT NULL DEFAULT 1,
  driver_id uuid REFERENCES driver_profiles,
  uses_shared_pool boolean NOT NULL,
  items text NOT NULL DEFAULT '',
  distance_m integer NOT NULL CHECK (distance_m >= 0),
  fee_minor bigint NOT NULL CHECK (fee_minor >= 0),
  driver_pay_minor bigint NOT NULL CHECK (driver_pay_minor >= 0),
  tip_minor bigint NOT NULL DEFAULT 0 CHECK (tip_minor >= 0),
  cash_to_collect_minor bigint NOT NULL DEFAULT 0 CHECK (cash_to_collect_minor >= 0),
  currency text NOT NULL,
  ready_at timestamptz NOT NULL,
  promised_at timestamptz NOT NULL,
  eta_pickup_p50 timestamptz,
  eta_pickup_p90 timestamptz,
  eta_dropoff_p50 timestamptz,
  eta_dropoff_p90 timestamptz,
  eta_source text,
  unassigned_reason text,
  status_reason text NOT NULL DEFAULT '',
  attempts integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  assigned_at timestamptz,
  picked_up_at timestamptz,
  finished_at timestamptz,
  UNIQUE (business_id, id),
  UNIQUE (business_id, external_id),
  UNIQUE (business_id, order_id),
  FOREIGN KEY (operator_id, business_id) REFERENCES businesses (operator_id, id),
  FOREIGN KEY (business_id, store_id) REFERENCES stores (business_id, id),
  FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id),
  FOREIGN KEY (business_id, quote_id) REFERENCES quotes (business_id, id),
  CHECK ((driver_id IS NULL) = (status IN ('pending', 'offered')) OR status IN ('canceled', 'failed'))
);
CREATE INDEX deliveries_store ON deliveries (business_id, store_id);
CREATE INDEX deliveries_quote ON deliveries (business_id, quote_id);
CREATE INDEX deliveries_recent ON deliveries (business_id, created_at DESC, id DESC);
CREATE INDEX deliveries_operator ON deliveries (operator_id, business_id);
CREATE INDEX deliveries_driver ON deliveries (driver_id);
CREATE INDEX deliveries_open ON deliveries (operator_id, created_at)
  WHERE status NOT IN ('delivered', 'canceled', 'failed', 'returned');
CALL protect('deliveries', 'business_id', 'driver_id');

-- A business sees (and can't change) its dedicated drivers, and drivers of the pool while they carry its deliveries.
CREATE POLICY carried ON driver_profiles AS PERMISSIVE FOR SELECT TO PUBLIC USING (
  EXISTS (SELECT FROM driver_business_assignments a
          WHERE a.driver_id = driver_profiles.id AND a.business_id = (SELECT onward.current_business()))
  OR EXISTS (SELECT FROM deliveries d
             WHERE d.driver_id = driver_profiles.id AND d.business_id = (SELECT onward.current_business())
               AND d.status NOT IN ('delivered', 'canceled', 'returned')));

CREATE TABLE stops (
  id uuid PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  delivery_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('pickup', 'dropoff')),
  driver_id uuid REFERENCES driver_profiles,
  route_position integer,
  name text NOT NULL,
  phone text NOT NULL DEFAULT '',
  address text NOT NULL,
  lat double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
  lng double precision NOT NULL CHECK (lng BETWEEN -180 AND 180),
  instructions text NOT NULL DEFAULT '',
  arrived_at timestamptz,
  arrival_source text CHECK (arrival_source IN ('driver', 'geofence', 'dispatcher')),
  done_at timestamptz,
  UNIQUE (business_id, delivery_id, kind),
  FOREIGN KEY (business_id, delivery_id) REFERENCES deliveries (business_id, id)
);
CREATE INDEX stops_route ON stops (driver_id, route_position);
CALL protect('stops', 'business_id', 'driver_id');

CREATE TABLE delivery_status_history (
  business_id uuid NOT NULL REFERENCES businesses,
  delivery_id uuid NOT NULL,
  version integer NOT NULL,
  status text NOT NULL,
  source text NOT NULL CHECK (source IN ('driver', 'geofence', 'dispatcher', 'business', 'system')),
  driver_id uuid REFERENCES driver_profiles,
  reason text NOT NULL DEFAULT '',
  at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (business_id, delivery_id, version),
  FOREIGN KEY (business_id, delivery_id) REFERENCES deliveries (business_id, id)
);
CREATE INDEX delivery_status_history_driver ON delivery_status_history (driver_id);
CALL protect('delivery_status_history', 'business_id', 'driver_id');

CREATE TABLE offers (
  id uuid PRIMARY KEY,
  operator_id uuid NOT NULL REFERENCES operators,
  driver_id uuid NOT NULL REFERENCES driver_profiles,
  status text NOT NULL CHECK (status IN ('sent', 'accepted', 'declined', 'expired', 'revoked')),
  terms jsonb NOT NULL,
  reason text NOT NULL DEFAULT '',
  sent_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  answered_at timestamptz
);
CREATE INDEX offers_operator ON offers (operator_id, sent_at);
CREATE INDEX offers_driver ON offers (driver_id, sent_at);
CREATE INDEX offers_expiry ON offers (expires_at) WHERE status = 'sent';
-- One open question a driver.
CREATE UNIQUE INDEX offers_one_open_per_driver ON offers (driver_id) WHERE status = 'sent';
CALL protect('offers', 'driver_id');

CREATE TABLE offer_deliveries (
  offer_id uuid NOT NULL REFERENCES offers,
  business_id uuid NOT NULL REFERENCES businesses,
  delivery_id uuid NOT NULL,
  driver_id uuid NOT NULL REFERENCES driver_profiles,
  expires_at timestamptz NOT NULL,
  holds boolean NOT NULL DEFAULT true,
  PRIMARY KEY (offer_id, delivery_id),
  FOREIGN KEY (business_id, delivery_id) REFERENCES deliveries (business_id, id)
);
-- The database's own word against a double assignment: while an offer is sent or accepted it alone holds its deliveries.
CREATE UNIQUE INDEX offer_deliveries_one_holder ON offer_deliveries (delivery_id) WHERE holds;
CREATE INDEX offer_deliveries_delivery ON offer_deliveries (business_id, delivery_id);
CREATE INDEX offer_deliveries_driver ON offer_deliveries (driver_id);
CALL protect('offer_deliveries', 'business_id', 'driver_id');

CREATE TABLE dispatch_decisions (
  id uuid PRIMARY KEY,
  operator_id uuid NOT NULL REFERENCES operators,
  business_id uuid NOT NULL REFERENCES businesses,
  delivery_id uuid NOT NULL,
  offer_id uuid REFERENCES offers,
  driver_id uuid REFERENCES driver_profiles,
  outcome text NOT NULL CHECK (outcome IN ('offered', 'no_candidate')),
  explanation jsonb NOT NULL,
  at timestamptz NOT NULL,
  FOREIGN KEY (business_id, delivery_id) REFERENCES deliveries (business_id, id)
);
CREATE INDEX dispatch_decisions_delivery ON dispatch_decisions (business_id, delivery_id, at DESC);
CREATE INDEX dispatch_decisions_operator ON dispatch_decisions (operator_id, at);
CREATE INDEX dispatch_decisions_offer ON dispatch_decisions (offer_id);
CREATE INDEX dispatch_decisions_driver ON dispatch_decisions (driver_id);
CALL protect('dispatch_decisions', 'business_id');

CREATE TABLE proofs (
  id uuid PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  delivery_id uuid NOT NULL,
  driver_id uuid NOT NULL REFERENCES driver_profiles,
  kind text NOT NULL CHECK (kind IN ('photo')),
  path text NOT NULL,
  sha256 bytea NOT NULL,
  bytes integer NOT NULL,
  lat double precision,
  lng double precision,
  taken_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (business_id, delivery_id, sha256),
  FOREIGN KEY (business_id, delivery_id) REFERENCES deliveries (business_id, id)
);
CREATE INDEX proofs_driver ON proofs (driver_id);
CALL protect('proofs', 'business_id', 'driver_id');

-- What a driver's phone asked for, by the id it made: asking again answers the same and changes nothing.
CREATE TABLE driver_actions (
  driver_id uuid NOT NULL REFERENCES driver_profiles,
  action_id text NOT NULL,
  kind text NOT NULL,
  outcome text NOT NULL,
  device_at timestamptz NOT NULL,
  handled_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (driver_id, action_id)
);
CREATE INDEX driver_actions_age ON driver_actions (handled_at);
CALL protect('driver_actions', 'driver_id');

-- How many stops a driver serves before a customer's: a number across tenants, and nothing but the number. The caller
-- must see the delivery itself.
CREATE FUNCTION count_stops_before(driver uuid, delivery uuid, own_position integer) RETURNS integer
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = onward, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM deliveries d WHERE d.id = delivery AND d.driver_id = driver
                 AND d.business_id = current_business()) THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT count(*) FROM stops s WHERE s.driver_id = driver AND s.delivery_id <> delivery
          AND s.done_at IS NULL AND s.route_position < own_position);
END $$;
REVOKE ALL ON FUNCTION count_stops_before FROM PUBLIC;
GRANT EXECUTE ON FUNCTION count_stops_before TO onward_app, onward_platform;
