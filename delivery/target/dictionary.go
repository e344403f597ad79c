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
		i := d.place(&s)
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

// place is where the search for a key begins: the folded product of its halves.
func (d *dictionary) place(s *slot) int {
	high, low := bits.Mul64(s.low^d.seeds[0], s.high^d.seeds[1]^uint64(s.length)<<56)
	return int((high ^ low) * 0x9e3779b97f4a7c15 >> d.shift)
}

// find returns the number of a text, none when it has none.
func (d *dictionary) find(text []byte) uint32 {
	want := d.key(text)
	for i := d.place(&want); ; i++ {
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
