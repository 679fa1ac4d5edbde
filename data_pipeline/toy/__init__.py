"""The quickstart's corpus: small random functions and a vocabulary for them."""
