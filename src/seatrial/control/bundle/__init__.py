"""A model's history as one bundle: every record with its digest, signed, checked by whoever has the public key."""
