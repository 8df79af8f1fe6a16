-- A name for a key that is not the key: to see which there are, and to take one back.
ALTER TABLE api_keys ADD COLUMN id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid();
