"""What an operator says: static settings (`settings`) and live sensitivity (`sensitivity`, `commands`), with their JSON Schemas."""
