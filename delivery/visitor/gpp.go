package visitor

import "bytes"

// The sections of a GPP string that are read otherwise than by usSections (GPP,
// "Section Information").
const (
	gppTCFEurope = 2
	gppIntegrity = 4
	gppTCFCanada = 5
	gppUSPrivacy = 6
	maxSection   = 62 // ids are bits of a word; there are some thirty
)

// Sections is a set of GPP section ids, one bit each. The last bit stands for all
// ids that do not fit: nobody can read those.
type Sections uint64

// Has tells whether id is in the set.
func (s Sections) Has(id int) bool { return id > 0 && id <= maxSection && s>>id&1 == 1 }

// With is the set and id; 0 and below are no sections.
func (s Sections) With(id int) Sections {
	if id <= 0 {
		return s
	}
	return s | 1<<min(id, maxSection+1)
}

// readGPP says what all sections of a GPP string that apply allow together;
// with apply 0, not known, that is every section in it. It also tells which it
// read. A section that applies and is not there, or that we cannot read, allows
// nothing.
func readGPP(text []byte, apply Sections, vendor uint64) (g Grant, read Sections) {
	header, rest, _ := bytes.Cut(text, []byte{'~'})
	b := bitsOf(header)
	if b.int(6) != 3 || b.int(6) != 1 {
		return Grant{}, 0
	}
	g = everything
	id := 0
	for n := b.int(12); n > 0 && !b.bad; n-- {
		isRange := b.flag()
		id += b.fibonacci()
		last := id
		if isRange {
			last += b.fibonacci()
		}
		if b.bad || last > maxSection {
			return Grant{}, 0
		}
		for ; id <= last; id++ {
			var section []byte
			section, rest, _ = bytes.Cut(rest, []byte{'~'})
			if apply == 0 || apply.Has(id) {
				g, read = g.and(readSection(id, section, vendor)), read.With(id)
			}
		}
		id = last
	}
	if b.bad || len(rest) > 0 || apply&^read != 0 {
		return Grant{}, 0
	}
	return g, read
}

func readSection(id int, text []byte, vendor uint64) Grant {
	switch id {
	case gppTCFEurope:
		return readTCF(text, vendor)
	case gppTCFCanada:
		return readCanada(text)
	case gppUSPrivacy:
		return readUSPrivacy(text)
	case gppIntegrity:
		return everything // a signature over the others
	}
	return readUS(id, text)
}

// readUSPrivacy reads the US Privacy string: version, notice given, opted out of
// sale, covered by the limited service provider agreement (IAB, "US Privacy
// String"). "-" is not applicable.
func readUSPrivacy(text []byte) Grant {
	if len(text) != 4 || text[0] != '1' {
		return Grant{}
	}
	for _, c := range text[1:] {
		if c != '-' && c|0x20 != 'y' && c|0x20 != 'n' {
			return Grant{}
		}
	}
	if text[2]|0x20 == 'y' {
		return Grant{}
	}
	return everything
}

// usSection is where the core of one US section has what we ask for: the place
// of its first bit, 0 when the section has no such field, and how many answers
// of two bits stand in a row.
type usSection struct {
	sale, sharing, targeted uint8
	sensitive, sensitives   uint8
	children                uint8 // they follow the sensitive ones
}

// most is the layout that all states but four share.
func most(sensitives, children uint8) usSection {
	return usSection{sale: 12, targeted: 14, sensitive: 16, sensitives: sensitives, children: children}
}

// usSections are the sections by id, from 7 on (GPP, Sections/US-National and
// US-States). Those from 24 on (Maryland, Indiana, Kentucky, Rhode Island) have
// another form, which no consent platform writes yet: they allow nothing.
var usSections = [...]usSection{
	7:  {sale: 18, sharing: 20, targeted: 22, sensitive: 24, sensitives: 12, children: 2}, // of version 1, see below
	8:  {sale: 12, sharing: 14, sensitive: 16, sensitives: 9, children: 2},
	9:  most(8, 1),
	10: most(7, 1),
	11: {sale: 14, targeted: 16, sensitive: 18, sensitives: 8, children: 1},
	12: most(8, 3),
	13: most(8, 3),
	14: most(8, 3),
	15: most(11, 3),
	16: most(8, 1),
	17: most(9, 5),
	18: {sale: 14, targeted: 16, sensitive: 18, sensitives: 8, children: 1},
	19: most(8, 1),
	20: most(8, 3),
	21: most(10, 5),
	22: most(8, 1),
	23: most(8, 1),
}

// usnat is the only section of which there are two versions.
const usnat = 7

// readUS reads a section of the United States. Opting out of sale, of sharing or
// of targeted advertising is opting out of all that is personal; any word
// against the use of sensitive data, of which precise location is one, is taken
// for location too; and any word about a child makes the visitor one.
func readUS(id int, text []byte) Grant {
	if id >= len(usSections) || usSections[id].sale == 0 {
		return Grant{}
	}
	s := usSections[id]
	core, rest, _ := bytes.Cut(text, []byte{'.'})
	b := bitsOf(core)
	version := b.int(6)
	if version == 2 && id == usnat {
		s.sensitives, s.children = 16, 3
	} else if version != 1 {
		return Grant{}
	}
	const optedOut = 1
	g := everything
	for _, place := range [...]uint8{s.sale, s.sharing, s.targeted} {
		if place != 0 && b.answer(place) == optedOut {
			g.Personal = false
		}
	}
	for i := range s.sensitives {
		if b.answer(s.sensitive+2*i) == optedOut {
			g.Precise = false
		}
	}
	for i := range s.children {
		if b.answer(s.sensitive+2*s.sensitives+2*i) != 0 {
			g = Grant{Child: true}
		}
	}
	if gpc, ok := readGPC(rest); !ok || b.bad {
		return Grant{}
	} else if gpc {
		g.Personal, g.Precise = false, false
	}
	return g
}

// answer reads two bits: 0 not applicable, 1 opted out or not consented, 2 the opposite.
func (b *bits) answer(place uint8) uint64 {
	b.at = int(place)
	return b.int(2)
}

// readGPC reads the subsections, of which there is one: Global Privacy Control.
func readGPC(rest []byte) (on, ok bool) {
	if len(rest) == 0 {
		return false, true
	}
	b := bitsOf(rest)
	kind, value := b.int(2), b.flag()
	return kind == 1 && value, !b.bad
}
