-- The database of `rowcast dev`.

create database rowcast owner rowcast_dev;
