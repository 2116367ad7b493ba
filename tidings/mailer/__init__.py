"""Mail in (smtp_in, spool, parse) and mail out (compose, outbox, deliver). It decides nothing about communities."""
