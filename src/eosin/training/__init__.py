"""From a store, a split and a recipe to a run folder."""
