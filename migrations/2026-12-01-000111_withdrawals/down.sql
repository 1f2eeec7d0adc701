DROP TABLE commerce.withdrawals;
