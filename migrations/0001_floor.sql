-- The floor: roles, scope functions, the policy maker, the outbox and idempotency keys.

DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'onward_app') THEN
    CREATE ROLE onward_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'onward_platform') THEN
    CREATE ROLE onward_platform NOLOGIN NOSUPERUSER BYPASSRLS NOCREATEDB NOCREATEROLE;
  END IF;
  EXECUTE format('GRANT onward_app, onward_platform TO %I', current_user);
END $$;

GRANT USAGE ON SCHEMA onward TO onward_app, onward_platform;
ALTER DEFAULT PRIVILEGES IN SCHEMA onward GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO onward_app, onward_platform;
ALTER DEFAULT PRIVILEGES IN SCHEMA onward GRANT USAGE, SELECT ON SEQUENCES TO onward_app, onward_platform;

-- NULLIF: after the first transaction-local setting of a session the value reverts to '' and not to NULL.
CREATE FUNCTION current_business() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  RETURN NULLIF(current_setting('app.business_id', true), '')::uuid;
CREATE FUNCTION current_driver() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  RETURN NULLIF(current_setting('app.driver_id', true), '')::uuid;

-- protect('deliveries', 'business_id', 'driver_id'): a row is visible to its business and to its driver, to nobody else.
-- With no scope column the table is the platform's own. (SELECT f()) makes the scope an init plan: evaluated once.
CREATE PROCEDURE protect(target regclass, VARIADIC scopes text[]) LANGUAGE plpgsql AS $$
DECLARE
  terms text[] := '{}';
  scope text;
  rule text;
BEGIN
  FOREACH scope IN ARRAY scopes LOOP
    terms := terms || CASE split_part(scope, '=', 1)
      WHEN 'driver_id' THEN 'driver_id = (SELECT onward.current_driver())'
      WHEN 'business_id' THEN 'business_id = (SELECT onward.current_business())'
      WHEN 'id' THEN format('id = (SELECT onward.current_%s())', split_part(scope, '=', 2))
      WHEN 'platform' THEN 'false'
    END;
  END LOOP;
  rule := array_to_string(terms, ' OR ');
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
  EXECUTE format('CREATE POLICY scope ON %s AS PERMISSIVE FOR ALL TO PUBLIC USING (%s) WITH CHECK (%s)', target, rule, rule);
END $$;

CREATE TABLE outbox (
  id uuid PRIMARY KEY,
  position bigint GENERATED ALWAYS AS IDENTITY,
  type text NOT NULL,
  operator_id uuid NOT NULL,
  business_id uuid,
  driver_id uuid,
  subject uuid NOT NULL,
  sequence integer NOT NULL DEFAULT 0,
  data jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  next_attempt_at timestamptz NOT NULL DEFAULT now(),
  last_error text,
  done_at timestamptz
);
CREATE INDEX outbox_waiting ON outbox (position) WHERE done_at IS NULL;
CREATE INDEX outbox_subject_waiting ON outbox (subject, position) WHERE done_at IS NULL;
CREATE INDEX outbox_done ON outbox (done_at) WHERE done_at IS NOT NULL;
CALL protect('outbox', 'business_id', 'driver_id');

CREATE TABLE outbox_consumed (
  event_id uuid NOT NULL REFERENCES outbox ON DELETE CASCADE,
  consumer text NOT NULL,
  handled_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (event_id, consumer)
);
CALL protect('outbox_consumed', 'platform');
