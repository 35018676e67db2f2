"""From what people bring (archives, folders, tables, arrays) to a plan of patches. Never torch."""
