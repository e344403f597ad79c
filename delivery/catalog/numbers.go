package catalog

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
)

// numbers gives names numbers from 0 on, so that lists of them compare fast and
// take little room. Equal lists share their memory.
type numbers struct {
	what   string // in errors
	known  map[string]uint16
	lists  map[string][]uint16 // by the names, joined
	joined []byte
}

func newNumbers(what string) *numbers {
	return &numbers{what: what, known: make(map[string]uint16), lists: make(map[string][]uint16)}
}

func (n *numbers) number(name []byte) (uint16, error) {
	number, known := n.known[string(name)]
	if !known {
		if len(n.known) > math.MaxUint16 {
			return 0, fmt.Errorf("there are more than %d %s", math.MaxUint16+1, n.what)
		}
		number = uint16(len(n.known))
		n.known[string(name)] = number
	}
	return number, nil
}

// list numbers what expand makes of each name, ascending and without repeats.
func (n *numbers) list(names []string, expand func([][]byte, []byte) [][]byte) ([]uint16, error) {
	if len(names) == 0 {
		return nil, nil
	}
	n.joined = n.joined[:0]
	for _, name := range names {
		n.joined = append(append(n.joined, name...), 0)
	}
	if list, known := n.lists[string(n.joined)]; known {
		return list, nil
	}
	var list []uint16
	for _, name := range names {
		for _, value := range expand(nil, []byte(name)) {
			number, err := n.number(value)
			if err != nil {
				return nil, err
			}
			list = append(list, number)
		}
	}
	slices.Sort(list)
	list = slices.Clip(slices.Compact(list))
	n.lists[string(n.joined)] = list
	return list, nil
}

// among returns the numbers of those names that have one: nothing else can be met.
func (n *numbers) among(names []string) []uint16 {
	var list []uint16
	for _, name := range names {
		if number, known := n.known[name]; known {
			list = append(list, number)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func itself(dst [][]byte, value []byte) [][]byte { return append(dst, value) }

// ancestors of a category, with itself.
func ancestors(dst [][]byte, category []byte) [][]byte {
	return rule.AppendExpansions(dst, rule.Category, category)
}

// bitsOf makes attributes a set. The standard's list ends at 17, and bidders'
// own numbers begin beyond what a snapshot can hold.
func bitsOf(what string, id ad.ID, attributes []uint8) (set uint64, err error) {
	for _, a := range attributes {
		if a > 63 {
			return 0, fmt.Errorf("%s %d has the creative attribute %d, beyond 63", what, id, a)
		}
		set |= 1 << a
	}
	return set, nil
}

// hostOf is the dimension in which a property's domain stands: of an app it is
// the store's id.
func hostOf(isApp bool, domain string) (rule.Dimension, string) {
	if isApp {
		return rule.AppBundle, domain
	}
	return rule.Domain, strings.ToLower(domain)
}
