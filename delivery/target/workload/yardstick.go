package workload

import (
	"github.com/hayate-ads/hayate/internal/rule"
)

// Yardstick answers the workload's questions in the simple way: a walk over one
// record a line item, in the order of price. It is made as well as such a walk
// can be, and better off than an engine in every respect that is not the walk:
//
//   - The records are the words of the engine's own program (see package target)
//     in one piece, one behind the other, so that memory is read in order and
//     nothing is followed but the record's length. The head of a record holds what
//     most line items fail by, size and liveness, to be compared at once.
//   - Terms stand in the order of what they cost, those of single values first,
//     so that the request's segments are looked at last.
//   - Values of single-valued dimensions come looked up already: those texts of the
//     engine's queries cost a walk nothing. Categories, keywords and segments are
//     looked up when the first record asks for them, as the engine does it.
type Yardstick struct {
	code   []uint32
	prices []float64 // by place, descending
}

// Parts of a record's head: what it shows, whether it is live, its words.
const (
	liveBit     = 1 << 8
	sizeBits    = liveBit - 1
	lengthShift = 16
)

// Record is one line item of a yardstick, its rule's values numbered by a table.
type Record struct {
	Price float64
	Size  int
	Live  bool
	Rule  rule.Packed
}

// order is that of the terms in a record.
var order = []rule.Dimension{
	rule.Country, rule.DeviceType, rule.HourOfWeek, rule.OS, rule.Browser, rule.Language, rule.Region,
	rule.Property, rule.Keyword, rule.Category, rule.Segment,
}

// NewYardstick takes line items in descending order of price.
func NewYardstick(records []Record, table *rule.Table) *Yardstick {
	y := &Yardstick{prices: make([]float64, 0, len(records))}
	for i := range records {
		r := &records[i]
		at := len(y.code)
		y.code = append(y.code, 0)
		for conjunction := range r.Rule.Conjunctions() {
			for _, d := range order {
				for t := range conjunction.Terms() {
					if t.Dimension == d {
						y.add(t, table)
					}
				}
			}
		}
		y.code[at] = uint32(r.Size) | uint32(len(y.code)-at)<<lengthShift
		if r.Live {
			y.code[at] |= liveBit
		}
		y.prices = append(y.prices, r.Price)
	}
	return y
}

// add writes a term. Hours become a bitmap, since a list of a hundred would be slow.
func (y *Yardstick) add(t rule.PackedTerm, table *rule.Table) {
	if t.Dimension != rule.HourOfWeek {
		y.code = append(append(y.code, rule.Head(t.Dimension, t.Exclude, len(t.Values))), t.Values...)
		return
	}
	var hours [6]uint32
	for _, number := range t.Values {
		hour := hourOf[table.Text(number)]
		hours[hour/32] |= 1 << (hour % 32)
	}
	y.code = append(append(y.code, rule.Head(t.Dimension, t.Exclude, len(hours))), hours[:]...)
}

var hourOf = func() map[string]int {
	all := make(map[string]int)
	for hour, text := range newWorld().hours {
		all[text] = hour
	}
	return all
}()

// Asked is a request with its values looked up in the rules' table.
type Asked struct {
	size uint32
	hour uint32
	one  [int(rule.Secure) + 1]uint32 // of dimensions of one value

	numbers                    map[string]uint32
	request                    *Request
	category, keyword, segment lazy
}

// lazy are the numbers of a request's values in one dimension, once they are asked for.
type lazy struct {
	known   bool
	numbers []uint32
}

// Clone is a copy that another goroutine may ask.
func (a *Asked) Clone() *Asked {
	c := *a
	c.category, c.keyword, c.segment = lazy{}, lazy{}, lazy{}
	return &c
}

// forget makes the request as it came.
func (a *Asked) forget() { a.category.known, a.keyword.known, a.segment.known = false, false, false }

func (a *Asked) categories() []uint32 {
	return look(&a.category, a.request.Categories, a.numbers)
}

func (a *Asked) segments() []uint32 { return look(&a.segment, a.request.Segments, a.numbers) }

func (a *Asked) keywords() []uint32 { return look(&a.keyword, a.request.Keywords, a.numbers) }

func look[T string | []byte](l *lazy, texts []T, numbers map[string]uint32) []uint32 {
	if l.known {
		return l.numbers
	}
	l.known, l.numbers = true, l.numbers[:0]
	for _, text := range texts {
		if number, known := numbers[string(text)]; known {
			l.numbers = append(l.numbers, number)
		}
	}
	return l.numbers
}

const unknown = ^uint32(0)

// Ask looks a request up.
func Ask(r *Request, numbers map[string]uint32) *Asked {
	number := func(text string) uint32 {
		if n, known := numbers[text]; known {
			return n
		}
		return unknown
	}
	a := &Asked{size: uint32(r.Size), hour: uint32(r.Hour), request: r, numbers: numbers}
	for d := range a.one {
		a.one[d] = unknown
	}
	a.one[rule.Country] = number(string(r.Country[:]))
	a.one[rule.Region] = number(r.Region)
	a.one[rule.DeviceType] = number(r.Device.String())
	a.one[rule.OS] = number(r.OS)
	a.one[rule.Browser] = number(r.Browser)
	a.one[rule.Language] = number(r.Language)
	a.one[rule.Property] = number(newWorld().site.texts[r.Site-1])
	return a
}

// matches tells whether the request satisfies all terms.
func (a *Asked) matches(code []uint32) bool {
	for len(code) > 0 {
		head := code[0]
		end := 1 + head>>8
		values, found := code[1:end], false
		switch d := rule.Dimension(head & 0x7f); d {
		case rule.HourOfWeek:
			found = values[a.hour/32]>>(a.hour%32)&1 != 0
		case rule.Category:
			found = meet(values, a.categories())
		case rule.Keyword:
			found = meet(values, a.keywords())
		case rule.Segment:
			found = meet(values, a.segments())
		default:
			for _, value := range values {
				if value == a.one[d] {
					found = true
					break
				}
			}
		}
		if found == (head&0x80 != 0) {
			return false
		}
		code = code[end:]
	}
	return true
}

// meet compares a few values with a few dozen: faster than any set, for which the
// request's would have to be put in first.
func meet(values, has []uint32) bool {
	for _, h := range has {
		for _, value := range values {
			if value == h {
				return true
			}
		}
	}
	return false
}

// Best is the place of the best-priced live match, -1 without one.
func (y *Yardstick) Best(a *Asked) int {
	a.forget()
	want := a.size | liveBit
	code := y.code
	for at, place := 0, 0; at < len(code); place++ {
		head := code[at]
		end := at + int(head>>lengthShift)
		if head&(sizeBits|liveBit) == want && a.matches(code[at+1:end]) {
			return place
		}
		at = end
	}
	return -1
}

// MaxFactor is the highest that [Factor] can be.
const MaxFactor = 4

// Factor stands for value that depends on the context, such as bid × predicted
// rate: a hash of request and line item, from 0.25 to MaxFactor.
func Factor(request, place int) float64 {
	h := uint64(request)*0x9e3779b97f4a7c15 ^ uint64(place)*0xc2b2ae3d27d4eb4f
	h = (h ^ h>>29) * 0xbf58476d1ce4e5b9
	return 0.25 + (MaxFactor-0.25)*float64(h>>11)/(1<<53)
}

// Value is the live match of the highest price × factor, -1 without one.
func (y *Yardstick) Value(request int, a *Asked) int {
	a.forget()
	want := a.size | liveBit
	best, value := -1, 0.0
	code := y.code
	for at, place := 0, 0; at < len(code); place++ {
		head := code[at]
		end := at + int(head>>lengthShift)
		if head&(sizeBits|liveBit) == want {
			if y.prices[place]*MaxFactor <= value {
				break
			}
			if a.matches(code[at+1 : end]) {
				if v := y.prices[place] * Factor(request, place); v > value {
					best, value = place, v
				}
			}
		}
		at = end
	}
	return best
}

// All appends the places of all matches, live or not.
func (y *Yardstick) All(a *Asked, dst []uint32) []uint32 {
	a.forget()
	code := y.code
	for at, place := 0, 0; at < len(code); place++ {
		head := code[at]
		end := at + int(head>>lengthShift)
		if head&sizeBits == a.size && a.matches(code[at+1:end]) {
			dst = append(dst, uint32(place))
		}
		at = end
	}
	return dst
}
