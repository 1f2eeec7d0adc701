DROP TABLE commerce.inbound_webhooks;
