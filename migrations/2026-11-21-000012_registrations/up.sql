-- Whose password a registration leaves behind.
ALTER TABLE commerce.users
    -- When the address was last registered with a password that was taken note of: once a minute at the most.
    ADD COLUMN registered_at timestamptz,
    -- Of an account that is verified: the password of who registered its address once more. It opens nothing; who logs in with it
    -- hears the same as where the address was free.
    ADD COLUMN refused_password_hash text,
    -- Of an account that is not verified yet: it was registered with more than one password, so that the code in the mail does not
    -- tell whose is meant.
    ADD COLUMN contested boolean NOT NULL DEFAULT false;
