package lease

// Pages is how many the book holds.
func Pages(b *Book) int { return len(b.pages) }
