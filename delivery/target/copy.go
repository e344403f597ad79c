package target

// CopyFrom makes q what from is, in memory of its own: from may be reset and
// filled anew. It allocates nothing once q's buffers have grown.
func (q *Query) CopyFrom(from *Query) {
	fields, text := append(q.fields[:0], from.fields...), append(q.text[:0], from.text...)
	*q = *from
	q.fields, q.text = fields, text
}
