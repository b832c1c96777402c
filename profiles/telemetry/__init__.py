"""Clocks, power, temperature and throttling of a GPU around what is measured."""
