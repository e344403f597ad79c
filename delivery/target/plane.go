package target

// blockWords is how many words a scan takes at once: a cache line of each plane.
const (
	blockWords = 8
	blockRows  = blockWords * 64
)

// block is one step of a scan, a bit per row.
type block = [blockWords]uint64

// plane is a bitmap over all rows, a multiple of a block long. Where a plane
// stands for what a dimension leaves over, nil means every row.
type plane []uint64

func wordsFor(rows int) int { return (rows + blockRows - 1) / blockRows * blockWords }

func (p plane) set(row uint32)      { p[row>>6] |= 1 << (row & 63) }
func (p plane) clear(row uint32)    { p[row>>6] &^= 1 << (row & 63) }
func (p plane) has(row uint32) bool { return p[row>>6]&(1<<(row&63)) != 0 }

// fill sets the first n bits.
func (p plane) fill(n int) {
	for i := range n / 64 {
		p[i] = ^uint64(0)
	}
	if n%64 != 0 {
		p[n/64] |= 1<<(n%64) - 1
	}
}

// at is the block that begins at word. The conversion is what spares eight
// bounds checks a block.
func (p plane) at(word int) *block { return (*block)(p[word : word+blockWords]) }

// posting is the rows of one value: a list while they are few, a plane once
// walking the list would cost more than reading that.
type posting struct {
	rows  []uint32 // ascending
	plane plane
}

// newPosting takes ascending rows without repeats. A plane costs a scan 8 words
// a block, a list one step a row.
func newPosting(rows []uint32, words int) posting {
	if len(rows) <= 2*words {
		return posting{rows: rows}
	}
	p := make(plane, words)
	for _, row := range rows {
		p.set(row)
	}
	return posting{plane: p}
}

func (p *posting) empty() bool { return len(p.rows) == 0 && p.plane == nil }

// cursor walks a posting, block by block.
type cursor struct {
	posting
	next int // in rows: the first not below the blocks seen so far
}

// skip moves on to the first row not below from, doubling its stride, since the
// blocks in between may have been passed over for another dimension's sake.
func (c *cursor) skip(from uint32) {
	rows := c.rows
	if c.next >= len(rows) || rows[c.next] >= from {
		return
	}
	low, stride := c.next, 1 // rows[low] < from
	for low+stride < len(rows) && rows[low+stride] < from {
		low += stride
		stride *= 2
	}
	high := min(low+stride, len(rows)) // rows[high] >= from, or the end
	for low+1 < high {
		if mid := (low + high) / 2; rows[mid] < from {
			low = mid
		} else {
			high = mid
		}
	}
	c.next = high
}

// add sets the bits of the posting's rows in b, which begins at word.
func (c *cursor) add(b *block, word int) {
	if c.plane != nil {
		for i, bits := range c.plane.at(word) {
			b[i] |= bits
		}
		return
	}
	from := uint32(word * 64)
	c.skip(from)
	for ; c.next < len(c.rows); c.next++ {
		offset := c.rows[c.next] - from
		if offset >= blockRows {
			return
		}
		b[offset>>6&(blockWords-1)] |= 1 << (offset & 63)
	}
}

// union is what a dimension of many values leaves over: the rows that ask
// nothing of it and those that ask for a value at hand, less those that exclude
// one at hand.
type union struct {
	base          plane // nil: none
	from, mid, to int32 // cursors[from:mid] add rows, cursors[mid:to] take them away
}

func (u *union) load(b *block, cursors []cursor, word int) {
	if u.base != nil {
		*b = *u.base.at(word)
	} else {
		*b = block{}
	}
	for i := u.from; i < u.mid; i++ {
		cursors[i].add(b, word)
	}
	if u.mid == u.to {
		return
	}
	var less block
	for i := u.mid; i < u.to; i++ {
		cursors[i].add(&less, word)
	}
	for i := range b {
		b[i] &^= less[i]
	}
}
