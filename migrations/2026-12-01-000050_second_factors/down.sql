DROP TABLE commerce.second_factors;
