-- The language of mails to a customer, as a BCP 47 tag. NULL means the shop's.
ALTER TABLE commerce.users ADD COLUMN locale text
    CONSTRAINT users_locale_check CHECK (length(locale) <= 35 AND locale ~ '^[a-z]{2,3}(-[0-9A-Za-z]+)*$');
ALTER TABLE commerce.orders ADD COLUMN locale text
    CONSTRAINT orders_locale_check CHECK (length(locale) <= 35 AND locale ~ '^[a-z]{2,3}(-[0-9A-Za-z]+)*$');
