"""How the clouds' APIs are logged into, by whichever service asks them."""
