package target

import (
	"iter"

	"github.com/hayate-ads/hayate/internal/rule"
)

// Query is what one request brings to the index, apart from the placement it
// asks for (see [Supply]): values by dimension, in the spelling that [rule]
// gives for requests. Data that is missing satisfies no including term and every
// excluding one. The zero Query brings nothing; it is reused with Reset, so that
// filling it allocates nothing once its buffers have grown.
type Query struct {
	Hours *Hours // of the catalog's zones, from [Index.HoursAt]; nil: no hour of week is satisfied

	fields []field
	text   []byte
}

// field is one value, text[from:to].
type field struct {
	dimension rule.Dimension
	from, to  uint32
}

// Reset forgets everything but the buffers.
func (q *Query) Reset() { q.Hours, q.fields, q.text = nil, q.fields[:0], q.text[:0] }

// Add says that the request has value in d; it keeps a copy. Of a dimension in
// which a request has one value at most, the first counts. Empty values are not
// taken: they are unknown.
func (q *Query) Add(d rule.Dimension, value []byte) {
	if len(value) == 0 {
		return
	}
	from := len(q.text)
	q.text = append(q.text, value...)
	q.fields = append(q.fields, field{d, uint32(from), uint32(len(q.text))})
}

// AddText is Add for a string.
func (q *Query) AddText(d rule.Dimension, value string) {
	if value == "" {
		return
	}
	from := len(q.text)
	q.text = append(q.text, value...)
	q.fields = append(q.fields, field{d, uint32(from), uint32(len(q.text))})
}

// Values yields the values in d, in the order in which they were added; they
// share the query's buffer.
func (q *Query) Values(d rule.Dimension) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, f := range q.fields {
			if f.dimension == d && !yield(q.text[f.from:f.to]) {
				return
			}
		}
	}
}

// Value is the first value in d, nil when there is none.
func (q *Query) Value(d rule.Dimension) []byte {
	for _, f := range q.fields {
		if f.dimension == d {
			return q.text[f.from:f.to]
		}
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
		r[f.dimension] = append(r[f.dimension], string(q.text[f.from:f.to]))
	}
	return r
}
