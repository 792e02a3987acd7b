"""The Kafka edge: profilers, the detector, our topics, live topics, the commit protocol, and an embedded broker for demos."""
