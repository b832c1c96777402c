"""Tables in the forms that people post: each makes rows of an artifact."""
