"""What goes into a certificate, and signing it. Decides nothing about who may have one."""
