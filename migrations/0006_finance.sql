-- The safe: a double-entry ledger. Balances are sums of postings, never columns.

CREATE TABLE ledger_accounts (
  id uuid PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  kind text NOT NULL CHECK (kind IN
    ('driver_payable', 'delivery_cost', 'tips_held', 'delivery_revenue', 'cash_with_driver', 'sales')),
  driver_id uuid REFERENCES driver_profiles,
  currency text NOT NULL,
  UNIQUE NULLS NOT DISTINCT (business_id, kind, driver_id, currency),
  UNIQUE (business_id, id)
);
CREATE INDEX ledger_accounts_driver ON ledger_accounts (driver_id);
CALL protect('ledger_accounts', 'business_id', 'driver_id');

CREATE TABLE ledger_entries (
  id uuid PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  kind text NOT NULL,
  event_id uuid NOT NULL,
  description text NOT NULL,
  at timestamptz NOT NULL,
  UNIQUE (business_id, id),
  UNIQUE (event_id, kind)
);
CREATE INDEX ledger_entries_business ON ledger_entries (business_id, at);
CALL protect('ledger_entries', 'business_id');

CREATE TABLE ledger_postings (
  business_id uuid NOT NULL REFERENCES businesses,
  entry_id uuid NOT NULL,
  position integer NOT NULL,
  account_id uuid NOT NULL,
  amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
  currency text NOT NULL,
  PRIMARY KEY (business_id, entry_id, position),
  FOREIGN KEY (business_id, entry_id) REFERENCES ledger_entries (business_id, id),
  FOREIGN KEY (business_id, account_id) REFERENCES ledger_accounts (business_id, id)
);
CREATE INDEX ledger_postings_account ON ledger_postings (business_id, account_id);
CALL protect('ledger_postings', 'business_id');

-- Debits and credits of an entry cancel out, or the transaction does not commit.
CREATE FUNCTION entry_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM onward.ledger_postings WHERE business_id = NEW.business_id AND entry_id = NEW.entry_id
             GROUP BY currency HAVING sum(amount_minor) <> 0) THEN
    RAISE EXCEPTION 'ledger entry % does not balance', NEW.entry_id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER entry_balances AFTER INSERT OR UPDATE ON ledger_postings
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION entry_balances();

CREATE TABLE driver_earnings (
  id uuid PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  driver_id uuid NOT NULL REFERENCES driver_profiles,
  delivery_id uuid NOT NULL,
  entry_id uuid NOT NULL,
  base_minor bigint NOT NULL CHECK (base_minor >= 0),
  tip_minor bigint NOT NULL CHECK (tip_minor >= 0),
  currency text NOT NULL,
  earned_at timestamptz NOT NULL,
  UNIQUE (business_id, delivery_id),
  FOREIGN KEY (business_id, delivery_id) REFERENCES deliveries (business_id, id),
  FOREIGN KEY (business_id, entry_id) REFERENCES ledger_entries (business_id, id)
);
CREATE INDEX driver_earnings_driver ON driver_earnings (driver_id, earned_at DESC);
CREATE INDEX driver_earnings_entry ON driver_earnings (business_id, entry_id);
CALL protect('driver_earnings', 'business_id', 'driver_id');
