"""From judgements to what people and programs read: incidents, their explanation, CloudEvents, verdict documents."""
