package visitor

import (
	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/rule"
	"github.com/hayate-ads/hayate/internal/taxonomy"
)

// families are the taxonomies of content by AdCOM's number of them, as rules
// number them ("iab3/"); 0 are those of products and audiences, and none.
var families = [...]byte{0: 1, 1: 1, 2: 2, 5: 2, 6: 2, 7: 3, 9: 3}

// maxCategory bounds a category's id, in bytes: none is longer.
const maxCategory = 8

// categories are the ids of all taxonomies, an open-addressed table whose slots
// are the ids themselves: a look-up touches one cache line.
type categories []uint64

// categoryBits is the binary logarithm of the table's length, which leaves nearly
// two slots for each of the 2,339 categories.
const categoryBits = 12

func knownCategories() categories {
	all := make(categories, 1<<categoryBits)
	for category := range taxonomy.All() {
		at := len("iab3/")
		if key, ok := categoryKey(category[at-2]-'0', []byte(category[at:])); ok {
			i := placeOf(key)
			for all[i] != 0 {
				i = (i + 1) & (len(all) - 1)
			}
			all[i] = key
		}
	}
	return all
}

// categoryKey is an id as a number, and its family in bits that ASCII leaves free.
func categoryKey(family byte, id []byte) (key uint64, ok bool) {
	if len(id) == 0 || len(id) > maxCategory {
		return 0, false
	}
	for _, c := range id {
		if c == 0 || c >= 0x80 {
			return 0, false
		}
		key = key<<8 | uint64(c)
	}
	return key | uint64(family&1)<<7 | uint64(family&2)<<14, true
}

func placeOf(key uint64) int { return int(key * 0x9e3779b97f4a7c15 >> (64 - categoryBits)) }

func (all categories) known(family byte, id []byte) bool {
	key, ok := categoryKey(family, id)
	if !ok {
		return false
	}
	for i := placeOf(key); all[i] != 0; i = (i + 1) & (len(all) - 1) {
		if all[i] == key {
			return true
		}
	}
	return false
}

// describeCategories adds what the page is about. Ids that no taxonomy has are
// left out and counted: publishers send what their content systems made up, and
// an ad that they do not hinder is better than none.
func (r *Reader) describeCategories(v *Visitor, q *target.Query) {
	v.Unknown = 0
	family := byte(0)
	if v.Cattax >= 0 && v.Cattax < len(families) {
		family = families[v.Cattax]
	}
	for _, id := range v.Categories {
		if family == 0 || !r.categories.known(family, id) {
			v.Unknown++
			continue
		}
		v.buf = append(append(v.buf[:0], 'i', 'a', 'b', '0'+family, '/'), id...)
		q.Add(rule.Category, v.buf)
	}
}
