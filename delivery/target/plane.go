package target

import "sync/atomic"

// blockWords is how many words a scan takes at once: a cache line of each plane.
const (
	blockWords = 8
	blockRows  = blockWords * 64
)

// block is one step of a scan, a bit per row.
type block = [blockWords]uint64

// plane is a bitmap over all rows, a multiple of a block long.
type plane []uint64

func (p plane) set(row uint32)      { p[row>>6] |= 1 << (row & 63) }
func (p plane) clear(row uint32)    { p[row>>6] &^= 1 << (row & 63) }
func (p plane) has(row uint32) bool { return p[row>>6]&(1<<(row&63)) != 0 }

// at is the block that begins at word. The conversion is what spares eight
// bounds checks a block.
func (p plane) at(word int) *block { return (*block)(p[word : word+blockWords]) }

// Mask holds one bit per row, changed while others scan. Its length is
// [Index.Words]; bits that belong to no row are never looked at.
type Mask []atomic.Uint64

// Set sets or clears the bits of the rows [from, to).
func (m Mask) Set(from, to int, value bool) {
	for row := from; row < to; row++ {
		if bit := uint64(1) << (row & 63); value {
			m[row>>6].Or(bit)
		} else {
			m[row>>6].And(^bit)
		}
	}
}

func (m Mask) has(row uint32) bool { return m[row>>6].Load()&(1<<(row&63)) != 0 }

// load is the mask's block that begins at word.
func (m Mask) load(b *block, word int) {
	words := (*[blockWords]atomic.Uint64)(m[word : word+blockWords])
	for i := range words {
		b[i] = words[i].Load()
	}
}

// intersect keeps in b what all planes hold at word, and tells whether that is
// anything. The eight words live in registers, which is why they have names.
func intersect(b *block, planes []plane, word int) bool {
	b0, b1, b2, b3, b4, b5, b6, b7 := b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]
	for _, p := range planes {
		q := p.at(word)
		b0, b1, b2, b3 = b0&q[0], b1&q[1], b2&q[2], b3&q[3]
		b4, b5, b6, b7 = b4&q[4], b5&q[5], b6&q[6], b7&q[7]
	}
	b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7] = b0, b1, b2, b3, b4, b5, b6, b7
	return b0|b1|b2|b3|b4|b5|b6|b7 != 0
}

// unite sets b to what any of the planes holds at word.
func unite(b *block, planes []plane, word int) {
	*b = block{}
	for _, p := range planes {
		for i, bits := range p.at(word) {
			b[i] |= bits
		}
	}
}

func and(b, other *block) bool {
	some := uint64(0)
	for i := range b {
		b[i] &= other[i]
		some |= b[i]
	}
	return some != 0
}
