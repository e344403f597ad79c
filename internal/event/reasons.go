package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
)

// Bounds of a record of reasons. A full record of the longest cells stays below
// [MaxRecord].
const (
	MaxReasonCells = 50
	MaxReasonWord  = 24 // bytes of a reason or a dimension
)

// Reasons says how often line items did not serve within an hour, and why: one
// record for many line items. It is counted per placement asked for.
type Reasons struct {
	Hour time.Time
	// Estimated: the cells come from a sample of requests that were explained in
	// full, and N is what the sample stands for. Otherwise every case was counted.
	Estimated bool
	Cells     []ReasonCell // at least one, at most [MaxReasonCells]
}

// ReasonCell counts one line item's cases of one reason.
type ReasonCell struct {
	LineItem  ad.ID  // 0: of line items beyond those that the process had room to count apart
	Reason    string // a word of the auction's: "no_lease"; lower case, digits and underscores
	Dimension string // what of a request did not match, in rule's spelling: "country"; "": the reason has none
	N         int64  // cases
	Samples   int64  // of an estimate: the cases seen, 1 to N, so one in N/Samples was looked at; else 0
}

func (r *Reasons) validate() error {
	switch {
	case r == nil || len(r.Cells) == 0:
		return missing("cell of reasons")
	case len(r.Cells) > MaxReasonCells:
		return fmt.Errorf("%d cells of reasons, at most %d are allowed", len(r.Cells), MaxReasonCells)
	case outside(r.Hour) || r.Hour.Unix()%3600 != 0 || r.Hour.Nanosecond() != 0:
		return errors.New("reasons' hour is not a full hour")
	}
	for i := range r.Cells {
		if err := r.Cells[i].validate(r.Estimated); err != nil {
			return err
		}
	}
	return nil
}

func (c *ReasonCell) validate(estimated bool) error {
	switch {
	case c.LineItem < 0:
		return errors.New("reason's line item is negative")
	case c.Reason == "" || !isWord(c.Reason) || !isWord(c.Dimension):
		return fmt.Errorf("reason %.40q, %.40q is not of words of at most %d bytes", c.Reason, c.Dimension, MaxReasonWord)
	case c.N <= 0:
		return errors.New("reason's count is not positive")
	case estimated && (c.Samples < 1 || c.Samples > c.N):
		return fmt.Errorf("an estimate of %d cases from %d samples", c.N, c.Samples)
	case !estimated && c.Samples != 0:
		return errors.New("an exact count has samples")
	}
	return nil
}

func isWord[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return len(s) <= MaxReasonWord
}

// Flags of a record of reasons.
const reasonsEstimated = 1

func appendReasons(dst []byte, r *Reasons) []byte {
	if r == nil {
		r = new(Reasons) // unreadable, as all that Validate refuses
	}
	dst = binary.AppendUvarint(dst, uint64(r.Hour.Unix()/3600))
	var flags byte
	if r.Estimated {
		flags |= reasonsEstimated
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(len(r.Cells)))
	for i := range r.Cells {
		c := &r.Cells[i]
		dst = binary.AppendUvarint(dst, uint64(c.LineItem))
		dst = binary.AppendUvarint(dst, uint64(len(c.Reason)))
		dst = append(dst, c.Reason...)
		dst = binary.AppendUvarint(dst, uint64(len(c.Dimension)))
		dst = append(dst, c.Dimension...)
		dst = binary.AppendUvarint(dst, uint64(c.N))
		if r.Estimated {
			dst = binary.AppendUvarint(dst, uint64(c.Samples))
		}
	}
	return dst
}

func (d *decoder) reasons(names *interner) *Reasons {
	r := &Reasons{Hour: time.Unix(int64(d.upTo(latest/3600, "hour"))*3600, 0).UTC()}
	flags := d.byte()
	if flags&^reasonsEstimated != 0 {
		d.fail(errors.New("unknown flag of reasons"))
	}
	r.Estimated = flags&reasonsEstimated != 0
	n := d.upTo(MaxReasonCells, "number of reasons")
	if d.err == nil && n == 0 {
		d.fail(missing("cell of reasons"))
	}
	if d.err != nil {
		return nil
	}
	r.Cells = make([]ReasonCell, n)
	for i := range r.Cells {
		d.reasonCell(&r.Cells[i], r.Estimated, names)
	}
	if d.err != nil {
		return nil
	}
	return r
}

func (d *decoder) reasonCell(c *ReasonCell, estimated bool, names *interner) {
	c.LineItem = ad.ID(d.upTo(math.MaxInt64, "reason's line item"))
	c.Reason, c.Dimension = d.word("reason", names), d.word("dimension", names)
	c.N = int64(d.upTo(math.MaxInt64, "reason's count"))
	if estimated {
		c.Samples = int64(d.upTo(math.MaxInt64, "samples"))
	}
	if d.err == nil {
		if err := c.validate(estimated); err != nil {
			d.fail(err)
		}
	}
}

func (d *decoder) word(what string, names *interner) string {
	b := d.bytes(int(d.upTo(MaxReasonWord, "length of the "+what)))
	if !isWord(b) { // before it is kept among the names
		d.fail(errors.New(what + " is not a word"))
		return ""
	}
	return names.name(b)
}
