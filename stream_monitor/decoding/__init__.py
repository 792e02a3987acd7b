"""Bytes to columns: what a batch of Kafka values says, field by field, without losing what is malformed."""
