"""The performance table: the product beside named baselines, measured in the same run."""
