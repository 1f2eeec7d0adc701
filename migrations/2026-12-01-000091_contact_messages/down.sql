DROP TABLE commerce.contact_messages;
