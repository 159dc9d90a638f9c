"""What a run does to the embedding of single words: rows of the hash table, watched update by update."""
