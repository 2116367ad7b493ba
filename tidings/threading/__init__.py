"""Which message answers which: nodes, parents, the tree; and what in a text is quoted. It never sees a mail header."""
