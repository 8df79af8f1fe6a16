-- What a delivery's hand-over has to be shown by: a picture (photo, signature), or a code that the driver is told at the door
-- (the customer's PIN) or reads from the parcel (its barcode). A driver never reads the code here: he is only told right or wrong.
ALTER TABLE deliveries
  ADD COLUMN proof text NOT NULL DEFAULT 'photo' CHECK (proof IN ('photo', 'signature', 'pin', 'barcode')),
  ADD COLUMN proof_code text CHECK (length(proof_code) BETWEEN 1 AND 200),
  ADD CHECK ((proof IN ('pin', 'barcode')) = (proof_code IS NOT NULL));

ALTER TABLE proofs DROP CONSTRAINT proofs_kind_check;
ALTER TABLE proofs ADD CONSTRAINT proofs_kind_check CHECK (kind IN ('photo', 'signature', 'pin', 'barcode'));
ALTER TABLE proofs ALTER COLUMN path DROP NOT NULL;
ALTER TABLE proofs ADD CHECK ((kind IN ('photo', 'signature')) = (path IS NOT NULL));
