-- Who of the staff changed what. Written in the transaction of the change; nothing is ever taken out but the personal data
-- of a deleted account.
CREATE TABLE commerce.audit_log (
    id uuid CONSTRAINT audit_log_pkey PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT commerce.clock(),
    -- 'user:<id>' or 'system'. No foreign key: the entry outlives whoever it tells of.
    actor text NOT NULL,
    -- The actor's role at that time.
    actor_role text,
    request_id text,
    -- The operation, as the spec names it.
    action text NOT NULL,
    subject_kind text NOT NULL,
    -- None where an action is about many things.
    subject_id text,
    -- None before a creation and after a deletion.
    before jsonb,
    after jsonb
);
CREATE INDEX audit_log_at_idx ON commerce.audit_log (at, id);
CREATE INDEX audit_log_actor_idx ON commerce.audit_log (actor, at, id);
CREATE INDEX audit_log_action_idx ON commerce.audit_log (action, at, id);
CREATE INDEX audit_log_subject_idx ON commerce.audit_log (subject_kind, subject_id, at, id);

-- Users, as staff look for them.
ALTER TABLE commerce.users
    ADD COLUMN phone text CONSTRAINT users_phone_check CHECK (phone ~ '^[+]?[0-9]{3,20}$');
-- In whichever schema the extension is.
DO $$
DECLARE
    home text := (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                  WHERE e.extname = 'pg_trgm');
BEGIN
    EXECUTE format('CREATE INDEX users_search_idx ON commerce.users
        USING gin (email %1$s.gin_trgm_ops, display_name %1$s.gin_trgm_ops, phone %1$s.gin_trgm_ops)', home);
END $$;
CREATE INDEX users_created_at_idx ON commerce.users (created_at, id);
CREATE INDEX users_display_name_idx ON commerce.users (display_name, id);
CREATE INDEX users_role_idx ON commerce.users (role, created_at, id);
CREATE INDEX users_disabled_idx ON commerce.users (created_at, id) WHERE disabled_at IS NOT NULL;
