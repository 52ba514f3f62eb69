"""Log search: what is parse_parameters, the query, the reply, and the links; nothing of a log is stored here."""
