-- What visitors wrote to the shop.
CREATE TABLE commerce.contact_messages (
    id uuid CONSTRAINT contact_messages_pkey PRIMARY KEY,
    name text NOT NULL CONSTRAINT contact_messages_name_check CHECK (length(name) BETWEEN 1 AND 200),
    email text NOT NULL CONSTRAINT contact_messages_email_check CHECK (length(email) <= 254),
    phone text CONSTRAINT contact_messages_phone_check CHECK (phone ~ '^[+]?[0-9]{3,20}$'),
    message text NOT NULL CONSTRAINT contact_messages_message_check CHECK (length(message) BETWEEN 1 AND 5000),
    -- What staff wrote about it, for staff.
    note text CONSTRAINT contact_messages_note_check CHECK (length(note) BETWEEN 1 AND 5000),
    handled_at timestamptz,
    -- Who marked it as handled: `user:<id>`.
    handled_by text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    -- All that a search looks at, each part on a line of its own.
    search text NOT NULL GENERATED ALWAYS AS (name || E'\n' || email || E'\n' || coalesce(phone, '') || E'\n' || message) STORED,
    CONSTRAINT contact_messages_handled_check CHECK ((handled_at IS NULL) = (handled_by IS NULL))
);
CREATE INDEX contact_messages_created_at_idx ON commerce.contact_messages (created_at, id);
CREATE INDEX contact_messages_open_idx ON commerce.contact_messages (created_at, id) WHERE handled_at IS NULL;
-- In whichever schema the extension is. Without a list of pending entries, which would make a search as slow as a scan.
DO $$
DECLARE
    home text := (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                  WHERE e.extname = 'pg_trgm');
BEGIN
    EXECUTE format('CREATE INDEX contact_messages_search_idx ON commerce.contact_messages USING gin (search %s.gin_trgm_ops)
        WITH (fastupdate = off)', home);
END $$;
