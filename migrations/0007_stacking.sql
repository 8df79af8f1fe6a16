-- How many deliveries of a business one driver may carry at once.

ALTER TABLE businesses ADD COLUMN stack_max integer NOT NULL DEFAULT 2 CHECK (stack_max BETWEEN 1 AND 3);
