"""From a released model to scores, tiers, points tables and model files."""
