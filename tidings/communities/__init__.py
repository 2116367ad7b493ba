"""People, memberships, communities, rotas and sessions. It sends no mail."""
