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

// key is the slot of a text, but for the number. The first and the last bytes
// overlap in the middle; with the length they tell every short text from every other.
func (d *dictionary) key(text []byte) slot {
	n := len(text)
	switch {
	case n > exactLength:
		return slot{maphash.Bytes(d.hash, text), maphash.Bytes(d.salt, text), uint32(n), 0}
	case n >= 8:
		return slot{binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[n-8:]), uint32(n), 0}
	case n >= 4:
		first, last := binary.LittleEndian.Uint32(text), binary.LittleEndian.Uint32(text[n-4:])
		return slot{uint64(first) | uint64(last)<<32, 0, uint32(n), 0}
	case n > 0:
		return slot{uint64(text[0]) | uint64(text[n/2])<<8 | uint64(text[n-1])<<16, 0, uint32(n), 0}
	}
	return slot{}
}

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
	words := 1
	for words*64 < 16*pairs {
		words *= 2
	}
	return filter{make([]uint64, words), 64 - bits.Len(uint(words*64-1))}
}

func (f *filter) place(mixed uint64, partition int) uint64 {
	return (mixed ^ uint64(partition)<<8) * 0xd6e8feb86659fd93 >> f.shift
}

func (f *filter) add(mixed uint64, partition int) {
	at := f.place(mixed, partition)
	f.bits[at>>6] |= 1 << (at & 63)
}

func (f *filter) has(mixed uint64, partition int) bool {
	at := f.place(mixed, partition)
	return f.bits[at>>6]>>(at&63)&1 != 0
}
