-- A route planned ahead is a decision too: why each delivery is on its round is kept with the plan, and with the
-- delivery once the plan is committed.

ALTER TABLE route_plans ADD COLUMN why jsonb NOT NULL DEFAULT '{}';

ALTER TABLE dispatch_decisions
  DROP CONSTRAINT dispatch_decisions_outcome_check,
  ADD CONSTRAINT dispatch_decisions_outcome_check CHECK (outcome IN ('offered', 'planned', 'no_candidate'));
