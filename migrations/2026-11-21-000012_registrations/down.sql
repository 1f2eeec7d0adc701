ALTER TABLE commerce.users DROP COLUMN registered_at, DROP COLUMN refused_password_hash, DROP COLUMN contested;
