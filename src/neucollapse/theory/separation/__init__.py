"""The law of separation: how the scatter within classes falls from layer to layer."""
