"""Log search: what is asked, the query, the reply, and the links; nothing of a log is stored here."""
