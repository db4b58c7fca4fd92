"""Who somebody is: tokens, passwords, certificates; and the record of who changed what."""
