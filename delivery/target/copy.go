package target

// CopyFrom makes q what from is, in memory of its own: from may be reset and
// filled anew, and what it refers to may change. It allocates nothing once q's
// buffers have grown.
func (q *Query) CopyFrom(from *Query) {
	fields, text := append(q.fields[:0], from.fields...), q.text[:0]
	for i := range fields {
		at := len(text)
		text = append(text, fields[i].text...)
		fields[i].text = text[at:]
	}
	*q = *from
	q.fields, q.text = fields, text
}
