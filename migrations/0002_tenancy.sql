-- The door: operators, businesses, stores, people, and what lets them in.

CREATE TABLE operators (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  time_zone text NOT NULL DEFAULT 'UTC',
  created_at timestamptz NOT NULL DEFAULT now()
);
CALL protect('operators', 'platform');

CREATE TABLE businesses (
  id uuid PRIMARY KEY,
  operator_id uuid NOT NULL REFERENCES operators,
  name text NOT NULL,
  subdomain text NOT NULL UNIQUE CHECK (subdomain ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  color text NOT NULL DEFAULT '#2563eb' CHECK (color ~ '^#[0-9a-f]{6}$'),
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  uses_shared_pool boolean NOT NULL DEFAULT true,
  delivery_base_fee_minor bigint NOT NULL DEFAULT 390 CHECK (delivery_base_fee_minor >= 0),
  delivery_fee_per_km_minor bigint NOT NULL DEFAULT 80 CHECK (delivery_fee_per_km_minor >= 0),
  driver_base_pay_minor bigint NOT NULL DEFAULT 350 CHECK (driver_base_pay_minor >= 0),
  driver_pay_per_km_minor bigint NOT NULL DEFAULT 70 CHECK (driver_pay_per_km_minor >= 0),
  customer_sees_driver_stops_before integer NOT NULL DEFAULT 1 CHECK (customer_sees_driver_stops_before BETWEEN 0 AND 20),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (operator_id, id)
);
CALL protect('businesses', 'id=business');

CREATE TABLE stores (
  id uuid PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  name text NOT NULL,
  address text NOT NULL,
  lat double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
  lng double precision NOT NULL CHECK (lng BETWEEN -180 AND 180),
  phone text NOT NULL DEFAULT '',
  preparation_s integer NOT NULL DEFAULT 600 CHECK (preparation_s BETWEEN 0 AND 86400),
  opening_hours text NOT NULL DEFAULT '24/7',
  time_zone text NOT NULL DEFAULT 'UTC',
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (business_id, id)
);
CALL protect('stores', 'business_id');

CREATE TABLE users (
  id uuid PRIMARY KEY,
  email text NOT NULL UNIQUE CHECK (email = lower(email)),
  password_hash text NOT NULL,
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CALL protect('users', 'platform');

CREATE TABLE driver_profiles (
  id uuid PRIMARY KEY,
  operator_id uuid NOT NULL REFERENCES operators,
  user_id uuid NOT NULL UNIQUE REFERENCES users,
  name text NOT NULL,
  phone text NOT NULL DEFAULT '',
  vehicle text NOT NULL CHECK (vehicle IN ('bicycle', 'scooter', 'car', 'foot')),
  pool text NOT NULL CHECK (pool IN ('dedicated', 'shared_pool')),
  state text NOT NULL DEFAULT 'offline' CHECK (state IN ('offline', 'available', 'busy', 'on_break')),
  state_since timestamptz NOT NULL DEFAULT now(),
  route_version integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX driver_profiles_operator ON driver_profiles (operator_id);
CREATE INDEX driver_profiles_on_shift ON driver_profiles (operator_id) WHERE state <> 'offline';
CALL protect('driver_profiles', 'id=driver');

CREATE TABLE driver_business_assignments (
  driver_id uuid NOT NULL REFERENCES driver_profiles,
  business_id uuid NOT NULL REFERENCES businesses,
  priority integer NOT NULL DEFAULT 1 CHECK (priority BETWEEN 1 AND 9),
  PRIMARY KEY (driver_id, business_id)
);
CREATE INDEX driver_business_assignments_business ON driver_business_assignments (business_id);
CALL protect('driver_business_assignments', 'business_id', 'driver_id');

-- Who works where, as what. A platform admin has no business and no driver profile.
CREATE TABLE memberships (
  user_id uuid NOT NULL REFERENCES users,
  operator_id uuid NOT NULL REFERENCES operators,
  business_id uuid REFERENCES businesses,
  driver_id uuid REFERENCES driver_profiles,
  role text NOT NULL CHECK (role IN ('platform_admin', 'business_owner', 'dispatcher', 'driver')),
  UNIQUE NULLS NOT DISTINCT (user_id, business_id, role)
);
CREATE INDEX memberships_operator ON memberships (operator_id);
CREATE INDEX memberships_business ON memberships (business_id);
CREATE INDEX memberships_driver ON memberships (driver_id);
CALL protect('memberships', 'business_id', 'driver_id');

CREATE TABLE customers (
  id uuid PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  email text CHECK (email = lower(email)),
  password_hash text,
  name text NOT NULL,
  phone text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (business_id, id),
  UNIQUE (business_id, email)
);
CALL protect('customers', 'business_id');

-- A token is kept as its SHA-256 only.
CREATE TABLE sessions (
  token_hash bytea PRIMARY KEY,
  user_id uuid REFERENCES users,
  business_id uuid REFERENCES businesses,
  customer_id uuid REFERENCES customers,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  CHECK ((user_id IS NULL) <> (customer_id IS NULL))
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_customer ON sessions (customer_id);
CREATE INDEX sessions_business ON sessions (business_id);
CREATE INDEX sessions_expired ON sessions (expires_at);
CALL protect('sessions', 'platform');

CREATE TABLE api_keys (
  key_hash bytea PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  name text NOT NULL,
  hint text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  revoked_at timestamptz
);
CREATE INDEX api_keys_business ON api_keys (business_id);
CALL protect('api_keys', 'business_id');

CREATE TABLE audit_log (
  id uuid PRIMARY KEY,
  operator_id uuid NOT NULL REFERENCES operators,
  business_id uuid REFERENCES businesses,
  actor_user_id uuid REFERENCES users,
  action text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_log_operator ON audit_log (operator_id, created_at);
CREATE INDEX audit_log_business ON audit_log (business_id, created_at);
CREATE INDEX audit_log_actor ON audit_log (actor_user_id);
CALL protect('audit_log', 'business_id');

CREATE TABLE idempotency_keys (
  business_id uuid NOT NULL REFERENCES businesses,
  key text NOT NULL,
  fingerprint bytea NOT NULL,
  status integer NOT NULL,
  reply bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (business_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
CALL protect('idempotency_keys', 'business_id');
