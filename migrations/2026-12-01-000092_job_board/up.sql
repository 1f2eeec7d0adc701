-- What an operator sees of jobs: the error of each attempt, and kinds that are paused.

-- The failed attempts, oldest first: [{"attempt", "at", "worker", "error"}, …].
ALTER TABLE commerce.jobs ADD COLUMN failures jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT jobs_failures_check CHECK (jsonb_typeof(failures) = 'array');

-- The failures with one more. The last twenty are kept.
CREATE FUNCTION commerce.with_failure(failures jsonb, attempt integer, worker text, error text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN jsonb_array_length(failures) >= 20 THEN failures - 0 ELSE failures END
           || jsonb_build_object('attempt', attempt, 'at', commerce.clock(), 'worker', worker, 'error', error)
$$;

-- No job of these kinds is begun.
CREATE TABLE commerce.job_pauses (
    kind text CONSTRAINT job_pauses_pkey PRIMARY KEY,
    -- `user:<id>` or `system`.
    paused_by text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT commerce.clock()
);
