ALTER TABLE commerce.refresh_tokens DROP COLUMN exchanged_for;
DROP TABLE commerce.known_networks;
