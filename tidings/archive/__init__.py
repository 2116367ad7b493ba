"""The posts of a community: stored, read and searched. It does not decide who may read them."""
