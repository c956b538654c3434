"""Making, and taking away, what a loop needs of a cloud: a bucket, its CORS rule, narrow credentials, their secret."""
