package target

import "slices"

// rest holds what the bitmaps leave out: the second and further including
// keyword terms of a conjunction ("a or b, and c or d"). Such rows are rare, so
// they are found by their first term and then checked one by one.
type rest struct {
	rows  plane // that have any; nil: none does
	terms map[uint32][][]uint32
}

func newRest(b *builder, keywords *lists[string]) rest {
	if len(b.further) == 0 {
		return rest{}
	}
	r := rest{rows: b.plane(), terms: make(map[uint32][][]uint32)}
	keywords.used = true
	for _, term := range b.further {
		ids := make([]uint32, 0, len(term.values))
		for _, text := range term.values {
			v := keywords.values[text]
			if v == nil {
				v = &value{id: uint32(len(keywords.values))}
				keywords.values[text] = v
			}
			ids = append(ids, v.id)
		}
		r.rows.set(term.row)
		r.terms[term.row] = append(r.terms[term.row], ids)
	}
	return r
}

// holds tells whether a request with those keywords satisfies the row's terms.
func (r *rest) holds(row uint32, keywords []uint32) bool {
	if r.rows == nil || !r.rows.has(row) {
		return true
	}
	for _, term := range r.terms[row] {
		if !slices.ContainsFunc(term, func(id uint32) bool { return slices.Contains(keywords, id) }) {
			return false
		}
	}
	return true
}
