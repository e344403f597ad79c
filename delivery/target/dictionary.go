package target

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
)

// none is the number of a value that no rule names.
const none = ^uint32(0)

// dictionary finds the number of a value's text. It is an open-addressed table
// whose slots hold the text itself when that has at most 16 bytes, as most
// values do: then a look-up touches one cache line. Of longer texts they hold
// 128 bits of hash, and the text is compared.
type dictionary struct {
	slots []slot
	texts []string
	seeds [2]uint64    // random, so that nobody can choose texts that collide
	hash  maphash.Seed // of the first half of a long text's hash
	salt  maphash.Seed // of the second
	shift int
}

type slot struct {
	low, high uint64
	length    uint32 // 0: the slot is free
	number    uint32
}

const exactLength = 16

// newDictionary numbers texts, which have no repeats, by their place.
func newDictionary(texts []string) dictionary {
	size := 4
	for size < 2*len(texts) { // at most half full: a miss ends after a slot or two
		size *= 2
	}
	d := dictionary{
		slots: make([]slot, size), texts: texts, seeds: [2]uint64{rand.Uint64(), rand.Uint64()},
		hash: maphash.MakeSeed(), salt: maphash.MakeSeed(), shift: 64 - bits.Len(uint(size-1)),
	}
	for number, text := range texts {
		if text == "" {
			continue // no request has it
		}
		s := d.key([]byte(text))
		i := int(d.mix(&s) >> d.shift)
		for d.slots[i].length != 0 {
			i = (i + 1) & (size - 1)
		}
		s.number = uint32(number)
		d.slots[i] = s
	}
	return d
}

// key is the slot of a text, but for the number: of a short one the bytes, with
// zeros behind them.
func (d *dictionary) key(text []byte) slot {
	n := len(text)
	switch {
	case n > exactLength:
		return slot{maphash.Bytes(d.hash, text), maphash.Bytes(d.salt, text), uint32(n), 0}
	case n >= 8:
		return slot{binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[n-8:]) >> (8 * uint(exactLength-n)), uint32(n), 0}
	}
	low := uint64(0)
	for i, c := range text {
		low |= uint64(c) << (8 * i)
	}
	return slot{low, 0, uint32(n), 0}
}

// keyOf is the key of a text of a query. It reads on behind the text, as far as
// its capacity goes, instead of asking how long the text is: lengths change from
// value to value, and no processor foresees them.
func (d *dictionary) keyOf(text []byte) slot {
	n := len(text)
	if n > exactLength || cap(text) < exactLength {
		return d.key(text)
	}
	all, keep := (*[exactLength]byte)(text[:exactLength]), &keeps[n]
	return slot{binary.LittleEndian.Uint64(all[:8]) & keep[0], binary.LittleEndian.Uint64(all[8:]) & keep[1], uint32(n), 0}
}

// keeps are the masks of the first so many of sixteen bytes.
var keeps = func() (all [exactLength + 1][2]uint64) {
	for n := range all {
		all[n] = [2]uint64{1<<(8*min(n, 8)) - 1, 1<<(8*max(n-8, 0)) - 1}
	}
	return all
}()

// mix folds the product of a key's halves: where the search for it begins, and
// what [filter] takes.
func (d *dictionary) mix(s *slot) uint64 {
	high, low := bits.Mul64(s.low^d.seeds[0], s.high^d.seeds[1]^uint64(s.length)<<56)
	return (high ^ low) * 0x9e3779b97f4a7c15
}

// find returns the number of a text, none when it has none.
func (d *dictionary) find(text []byte) uint32 {
	want := d.key(text)
	return d.search(text, &want, d.mix(&want))
}

// findOf returns the number of a text of a query.
func (d *dictionary) findOf(text []byte) uint32 {
	want := d.keyOf(text)
	return d.search(text, &want, d.mix(&want))
}

func (d *dictionary) search(text []byte, want *slot, mixed uint64) uint32 {
	for i := int(mixed >> d.shift); ; i++ {
		s := &d.slots[i&(len(d.slots)-1)]
		if s.length == 0 {
			return none
		}
		if s.low == want.low && s.high == want.high && s.length == want.length &&
			(len(text) <= exactLength || d.texts[s.number] == string(text)) {
			return s.number
		}
	}
}

// filter tells of most pairs of partition and value that no row of that partition
// is reached by that value. A request brings dozens of segments, and of each a
// look at the dictionary costs a cache miss; the filter stays in the cache.
type filter struct {
	bits  []uint64
	shift int
}

// newFilter has room for so many pairs, at 16 bits each.
func newFilter(pairs int) filter {
	words := 2
	for words*64 < 16*pairs {
		words *= 2
	}
	return filter{make([]uint64, words), 64 - bits.Len(uint(words-1))}
}

// place is a pair's word and its bits there, three of them or fewer.
func (f *filter) place(mixed uint64, partition int) (word int, set uint64) {
	h := (mixed ^ uint64(partition)<<8) * 0xd6e8feb86659fd93
	return int(h >> f.shift), 1<<(h>>12&63) | 1<<(h>>18&63) | 1<<(h>>24&63)
}

func (f *filter) add(mixed uint64, partition int) {
	word, set := f.place(mixed, partition)
	f.bits[word] |= set
}

func (f *filter) has(mixed uint64, partition int) bool {
	word, set := f.place(mixed, partition)
	return f.bits[word]&set == set
}
