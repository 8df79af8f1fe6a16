-- What people write to each other about a delivery: its driver and the desk, its driver and its customer.

CREATE TABLE messages (
  id uuid PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  delivery_id uuid NOT NULL,
  -- Who had the delivery when it was written: nobody who has it later reads what was meant for him.
  driver_id uuid NOT NULL REFERENCES driver_profiles,
  channel text NOT NULL CHECK (channel IN ('desk', 'customer')),
  sender text NOT NULL CHECK (sender IN ('driver', 'desk', 'customer')),
  name text NOT NULL,
  text text NOT NULL CHECK (length(text) BETWEEN 1 AND 500),
  at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (business_id, delivery_id) REFERENCES deliveries (business_id, id),
  CHECK (sender = 'driver' OR sender = channel)
);
CREATE INDEX messages_delivery ON messages (business_id, delivery_id, id);
CREATE INDEX messages_driver ON messages (driver_id, id);
CALL protect('messages', 'business_id', 'driver_id');
