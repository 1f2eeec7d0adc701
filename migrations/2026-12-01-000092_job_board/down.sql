DROP TABLE commerce.job_pauses;
ALTER TABLE commerce.jobs DROP COLUMN failures;
DROP FUNCTION commerce.with_failure(jsonb, integer, text, text);
