package target

import (
	"github.com/hayate-ads/hayate/internal/rule"
)

// Miss is one thing that keeps an item from matching: a term of its rule that the
// request does not satisfy, or its shapes.
type Miss struct {
	Dimension rule.Dimension // 0 when Shape is set, or when the rule matches nothing
	Exclude   bool           // the request has one of Wanted, and must not
	Wanted    []string       // the term's values
	Got       []string       // the request's, as it spells them
	Shape     bool           // the item shows nothing that fits the slot
}

// Misses appends to dst the smallest set of things whose change would make the
// item match, over all of its conjunctions; nothing when it matches. The scan
// has to be started; its mask does not count. An item whose rule has no
// conjunction misses something without a name.
func (s *Scan) Misses(item int, dst []Miss) []Miss {
	from, to := s.ix.RowsOf(item)
	if from == to {
		return append(dst, Miss{})
	}
	best, fewest := from, -1
	for row := from; row < to && fewest != 0; row++ {
		n := 0
		for t := range s.ix.program.all(uint32(row)).terms() {
			if !s.satisfied(item, t) {
				n++
			}
		}
		if fewest < 0 || n < fewest {
			best, fewest = row, n
		}
	}
	if !s.ix.shows(uint32(best), s.supply.slot.Shapes) {
		dst = append(dst, Miss{Shape: true})
	}
	for t := range s.ix.program.all(uint32(best)).terms() {
		if !s.satisfied(item, t) {
			dst = append(dst, Miss{
				Dimension: t.dimension(), Exclude: t.exclude(), Wanted: s.ix.texts(t), Got: s.got(item, t.dimension()),
			})
		}
	}
	return dst
}

// got is what the request has in a dimension.
func (s *Scan) got(item int, d rule.Dimension) []string {
	var all []string
	if d == rule.HourOfWeek {
		if s.query.Hours != nil {
			all = append(all, hourText(s.query.Hours.ofZone[s.ix.hours.zone[item]]))
		}
		return all
	}
	supplied := s.supply.has&(1<<d) != 0
	if !supplied || d.Many() {
		for text := range s.query.Values(d) {
			if all = append(all, string(text)); !d.Many() {
				break
			}
		}
	}
	for _, v := range s.supply.slot.Values {
		if v.Dimension == d && v.Text != "" && (d.Many() || len(all) == 0) {
			all = append(all, v.Text)
		}
	}
	return all
}
