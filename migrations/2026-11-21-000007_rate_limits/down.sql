DROP TABLE commerce.rate_limits;
