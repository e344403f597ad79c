package target

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// partition is the rows of all items that can show the same set of shapes, in
// rank order, from a block's beginning on. A placement that shows none of the set
// passes over all of them at once. The first partition holds the items whose set
// is too rare for one of its own; in it there is a plane per shape.
type partition struct {
	from, to int // words
	rows     int
	broad    int // rows without an access key
	shapes   []uint16
}

// maxPartitions bounds the partitions that one walk may have to merge; a block's
// number of partition and a set of partitions are kept in small words, too.
const maxPartitions = 16

// layOut numbers the rows. Every partition begins with a block.
func (b *builder) layOut() error {
	ix := b.ix
	sets, of := shapeSets(b.items)
	for i := range b.items {
		sets[of[i]].rows += b.items[i].Rule.Len()
	}
	order := make([]int, len(sets))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(sets[y].rows, sets[x].rows) })
	ix.partitions = make([]partition, 1, maxPartitions)
	place := make([]uint8, len(sets)) // partition of each set
	for _, i := range order {
		set := &sets[i]
		if set.rows < blockRows || len(ix.partitions) == maxPartitions || len(set.shapes) == 0 {
			ix.partitions[0].rows += set.rows
			continue
		}
		place[i] = uint8(len(ix.partitions))
		ix.partitions = append(ix.partitions, partition{rows: set.rows, shapes: set.shapes})
	}
	total := 0
	for i := range ix.partitions {
		p := &ix.partitions[i]
		p.from = ix.words
		ix.words += (p.rows + blockRows - 1) / blockRows * blockWords
		p.to = ix.words
		total += p.rows
		for range (p.to - p.from) / blockWords {
			ix.partition = append(ix.partition, uint8(i))
		}
	}
	if ix.words > math.MaxInt32/64 {
		return fmt.Errorf("targeting index: %d conjunctions are more than an index can hold", total)
	}
	b.placeItems(place, of)
	return nil
}

// shapeSets are the sets that occur, and which of them each item has.
func shapeSets(items []Item) (sets []partition, of []uint32) {
	known := make(map[string]uint32)
	of = make([]uint32, len(items))
	var shapes []uint16
	var key []byte
	for i := range items {
		shapes = append(shapes[:0], items[i].Shapes...)
		slices.Sort(shapes)
		shapes, key = slices.Compact(shapes), key[:0]
		for _, shape := range shapes {
			key = binary.LittleEndian.AppendUint16(key, shape)
		}
		number, found := known[string(key)]
		if !found {
			number = uint32(len(sets))
			known[string(key)] = number
			sets = append(sets, partition{shapes: slices.Clone(shapes)})
		}
		of[i] = number
	}
	return sets, of
}

// placeItems gives each item its rows, and makes the shapes' planes.
func (b *builder) placeItems(place []uint8, of []uint32) {
	ix := b.ix
	next := make([]uint32, len(ix.partitions))
	size := make([]int, len(ix.partitions)+1)
	for i, p := range ix.partitions {
		next[i] = uint32(p.from * 64)
	}
	ix.first = make([]uint32, len(b.items))
	ix.count = make([]uint16, len(b.items))
	for i := range b.items {
		p, n := place[of[i]], b.items[i].Rule.Len()
		ix.first[i], ix.count[i] = next[p], uint16(n)
		next[p] += uint32(n)
		size[p+1]++
		ix.rows = max(ix.rows, int(next[p]))
	}
	ix.words = (ix.rows/blockRows + 1) * blockWords // Rows itself has a word
	for len(ix.partition) < ix.words/blockWords {
		ix.partition = append(ix.partition, 0)
	}
	ix.shapes = make(map[uint16]plane)
	b.order = make([]uint32, len(b.items))
	for i := range ix.partitions {
		size[i+1] += size[i]
	}
	behind := uint32(ix.rows)
	for i := len(b.items) - 1; i >= 0; i-- {
		if ix.count[i] == 0 {
			ix.first[i] = behind
		}
		behind = ix.first[i]
	}
	for i := range b.items {
		p := place[of[i]]
		b.order[size[p]] = uint32(i)
		size[p]++
		if p == 0 {
			b.addShapes(i)
		}
	}
}

func (b *builder) addShapes(item int) {
	ix := b.ix
	for _, shape := range b.items[item].Shapes {
		if ix.shapes[shape] == nil {
			ix.shapes[shape] = make(plane, ix.partitions[0].to)
		}
		from, to := ix.RowsOf(item)
		for row := from; row < to; row++ {
			ix.shapes[shape].set(uint32(row))
		}
	}
}

// shows tells whether a row is of an item that can show one of the shapes.
func (ix *Index) shows(row uint32, shapes []uint16) bool {
	p := ix.partition[row/blockRows]
	return slices.ContainsFunc(shapes, func(shape uint16) bool {
		if p == 0 {
			return ix.shapes[shape] != nil && ix.shapes[shape].has(row)
		}
		return slices.Contains(ix.partitions[p].shapes, shape)
	})
}
