"""The pages: archive, sign-in, admin. A request reads; only a POST with the token of its session changes anything."""
