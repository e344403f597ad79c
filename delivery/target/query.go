package target

import (
	"iter"
	"slices"

	"github.com/hayate-ads/hayate/internal/rule"
)

// dimensions is one more than the highest dimension.
const dimensions = int(rule.Secure) + 1

// Query is what one request brings to the index, apart from the placement it
// asks for (see [Supply]): values by dimension, in the spelling that [rule]
// gives for requests. Data that is missing satisfies no including term and every
// excluding one. The zero Query brings nothing; it is reused with Reset, so that
// filling it allocates nothing once its buffers have grown.
type Query struct {
	Hours *Hours // of the catalog's zones, from [Index.HoursAt]; nil: no hour of week is satisfied

	fields []field
	text   []byte // what was copied
	// The first and the last field of each dimension, counted from 1. Fields of a
	// dimension are chained, so that an index goes over the few that it needs.
	first, last [dimensions]int32
}

// field is one value, in the query's buffer or in memory of the caller, and the
// next of its dimension, counted from 1; 0: none.
type field struct {
	text      []byte
	next      int32
	dimension rule.Dimension
}

// Reset forgets everything but the buffers.
func (q *Query) Reset() {
	*q = Query{fields: q.fields[:0], text: q.text[:0]}
}

// Add says that the request has value in d; it keeps a copy. Of a dimension in
// which a request has one value at most, the first counts. Empty values are not
// taken: they are unknown.
func (q *Query) Add(d rule.Dimension, value []byte) {
	if len(value) == 0 || int(d) >= dimensions {
		return
	}
	from := len(q.text)
	q.text = append(q.text, value...)
	q.add(d, q.text[from:])
}

// AddText is Add for a string.
func (q *Query) AddText(d rule.Dimension, value string) {
	if value == "" || int(d) >= dimensions {
		return
	}
	from := len(q.text)
	q.text = append(q.text, value...)
	q.add(d, q.text[from:])
}

// AddRef is Add without the copy: value must stay as it is until the query is
// reset, and nobody may write to its memory, as far as its capacity goes.
func (q *Query) AddRef(d rule.Dimension, value []byte) {
	if len(value) == 0 || int(d) >= dimensions {
		return
	}
	q.add(d, value)
}

// AddRefs is AddRef for each of values.
func (q *Query) AddRefs(d rule.Dimension, values [][]byte) {
	if int(d) >= dimensions {
		return
	}
	fields, last := slices.Grow(q.fields, len(values)), q.last[d]
	for _, value := range values {
		if len(value) == 0 {
			continue
		}
		fields = append(fields, field{text: value, dimension: d})
		if last == 0 {
			q.first[d] = int32(len(fields))
		} else {
			fields[last-1].next = int32(len(fields))
		}
		last = int32(len(fields))
	}
	q.fields, q.last[d] = fields, last
}

// add chains a field. What the buffer held stays where it is when it grows, so
// earlier fields keep their texts.
func (q *Query) add(d rule.Dimension, text []byte) {
	q.fields = append(q.fields, field{text: text, dimension: d})
	number := int32(len(q.fields))
	if q.first[d] == 0 {
		q.first[d] = number
	} else {
		q.fields[q.last[d]-1].next = number
	}
	q.last[d] = number
}

// Values yields the values in d, in the order in which they were added; they
// are gone with the query's reset.
func (q *Query) Values(d rule.Dimension) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := q.first[d]; i != 0; i = q.fields[i-1].next {
			if f := &q.fields[i-1]; !yield(f.text) {
				return
			}
		}
	}
}

// Value is the first value in d, nil when there is none.
func (q *Query) Value(d rule.Dimension) []byte {
	if i := q.first[d]; i != 0 {
		return q.fields[i-1].text
	}
	return nil
}

// Plain is the query as the plain evaluator sees it, without the hour of week,
// which differs from advertiser to advertiser.
func (q *Query) Plain() rule.Request {
	r := rule.Request{}
	for _, f := range q.fields {
		if !f.dimension.Many() && len(r[f.dimension]) > 0 {
			continue
		}
		r[f.dimension] = append(r[f.dimension], string(f.text))
	}
	return r
}
