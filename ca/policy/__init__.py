"""May this request have a certificate? Asks the store, spends a challenge last, signs nothing."""
