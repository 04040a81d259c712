"""What the network sees: the SCEP endpoint, the CA's certificate, health, and the limits around them."""
