-- What became of each question, where the business whose delivery it was about may read it: an offer itself may hold others' stops.
ALTER TABLE offer_deliveries
  ADD COLUMN answer text CHECK (answer IN ('accepted', 'declined', 'expired', 'revoked')),
  ADD COLUMN reason text NOT NULL DEFAULT '',
  ADD COLUMN answered_at timestamptz;
UPDATE offer_deliveries od SET answer = o.status, reason = o.reason, answered_at = o.answered_at
FROM offers o WHERE o.id = od.offer_id AND o.status <> 'sent';
