"""What renewal decides, without touching anything."""
