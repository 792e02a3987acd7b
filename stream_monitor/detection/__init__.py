"""From profiles to judgements: charts, relations, trees, calibration, attribution. Pure."""
