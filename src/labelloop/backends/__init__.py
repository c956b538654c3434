"""The components that come with labelloop, one class each: stores, secrets managers, orchestrators, Label Studio."""
