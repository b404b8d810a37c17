"""The whole product in memory: the real rules of a case over a model of the backend, without any service."""
