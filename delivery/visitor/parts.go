package visitor

import (
	"bytes"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/rule"
)

// parts are values for queries in one piece of memory, so that what is remembered
// of a device or a network takes few cache lines and goes into a query as it is.
type parts struct {
	text []byte
	list [maxParts]part
	n    uint8
}

// part is a value that begins where the one before it ends.
type part struct {
	dimension rule.Dimension
	to        uint16
}

// maxParts is what a network brings at most; a device brings one less.
const maxParts = 8

func (p *parts) reset() { p.text, p.n = p.text[:0], 0 }

// from is where the next part begins.
func (p *parts) from() int {
	if p.n == 0 {
		return 0
	}
	return int(p.list[p.n-1].to)
}

// end makes a part of what was appended to text.
func (p *parts) end(d rule.Dimension) {
	if len(p.text) > p.from() && p.n < maxParts {
		p.list[p.n] = part{d, uint16(len(p.text))}
		p.n++
	}
}

// undo forgets what was appended to text.
func (p *parts) undo() { p.text = p.text[:p.from()] }

func (p *parts) add(d rule.Dimension, value string) {
	p.text = append(p.text, value...)
	p.end(d)
}

// addLower adds a name in lower case, unless it is none.
func (p *parts) addLower(d rule.Dimension, name []byte) {
	name = bytes.TrimSpace(name)
	if len(name) > maxWord {
		return
	}
	var ok bool
	if p.text, ok = appendLower(p.text, name); !ok {
		p.undo()
		return
	}
	p.end(d)
}

// maxWord bounds the names of makers, models and cities, in bytes.
const maxWord = 100

// set is dimensions, a bit each.
type set uint64

func setOf(dimensions ...rule.Dimension) (s set) {
	for _, d := range dimensions {
		s |= 1 << d
	}
	return s
}

// refer adds to q what is not in without. The query refers to p, which must not
// change before the query does.
func (p *parts) refer(q *target.Query, without set) {
	from := uint16(0)
	for _, part := range p.list[:p.n] {
		if without>>part.dimension&1 == 0 {
			q.AddRef(part.dimension, p.text[from:part.to])
		}
		from = part.to
	}
}
