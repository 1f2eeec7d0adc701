DROP TABLE commerce.media_files;
ALTER TABLE commerce.product_images
    DROP CONSTRAINT product_images_uploaded_check,
    DROP CONSTRAINT product_images_storage_key_key,
    DROP COLUMN variants,
    DROP COLUMN height,
    DROP COLUMN width,
    DROP COLUMN storage_key;
