"""Where the inventory hands out what the first start makes: files that only we can read."""
