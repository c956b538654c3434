"""Label Studio: a server we manage, or someone else's, as the place where people annotate."""
