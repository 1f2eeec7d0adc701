DROP TABLE commerce.order_links;
