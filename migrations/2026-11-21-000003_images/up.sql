-- Uploaded images. A row without a storage key is a link, as before.
ALTER TABLE commerce.product_images
    -- Name of the file in the media store.
    ADD COLUMN storage_key text,
    -- As it is shown, in pixels.
    ADD COLUMN width integer,
    ADD COLUMN height integer,
    -- What was made smaller of it, by width: [{"width": 160, "height": 120, "key": "…"}].
    ADD COLUMN variants jsonb NOT NULL DEFAULT '[]'
        CONSTRAINT product_images_variants_check CHECK (jsonb_typeof(variants) = 'array'),
    ADD CONSTRAINT product_images_storage_key_key UNIQUE (storage_key),
    ADD CONSTRAINT product_images_uploaded_check CHECK (
        CASE WHEN storage_key IS NULL THEN width IS NULL AND height IS NULL AND variants = '[]'
             ELSE coalesce(width > 0 AND height > 0, false) AND url = '/media/' || storage_key END);

-- Every file that was, or may have been, written into the media store. The row is committed before the file is written, so
-- that no file is forgotten whatever crashes: one that belongs to no image for long is deleted, and its row after it.
CREATE TABLE commerce.media_files (
    key text CONSTRAINT media_files_pkey PRIMARY KEY
        CONSTRAINT media_files_key_check CHECK (key ~ '^[0-9a-f-]{36}\.(jpg|png|webp)$'),
    image_id uuid
        CONSTRAINT media_files_image_id_fkey REFERENCES commerce.product_images (id) ON DELETE SET NULL,
    -- Since when it belongs to no image, if it belongs to none.
    idle_since timestamptz NOT NULL DEFAULT commerce.clock()
);
CREATE INDEX media_files_image_id_idx ON commerce.media_files (image_id);
CREATE INDEX media_files_idle_since_idx ON commerce.media_files (idle_since) WHERE image_id IS NULL;
