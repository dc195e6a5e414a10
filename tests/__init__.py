"""Everything that is proven, in the shape of the source tree."""
