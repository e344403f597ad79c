package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/snapshot"
)

// imageTypes are those of banners; HTML creatives have none.
var imageTypes = [...]string{"", "image/png", "image/jpeg", "image/gif"}

func (k *compiler) addCreatives() error {
	c := k.catalog
	order, err := k.orderCreatives()
	if err != nil {
		return err
	}
	k.texts.Grow(k.textSize())
	c.Creatives = make([]Creative, len(order))
	for from, to := range destinations(order) {
		if c.Creatives[to], err = k.creative(from); err != nil {
			return err
		}
		c.Creatives[to].Index, c.Creatives[to].Item = int(to), uint32(order[to].key)
	}
	for from, to := 0, 1; to <= len(order); to++ {
		if to == len(order) || order[to].key != order[from].key {
			c.LineItems[order[from].key].Creatives = c.Creatives[from:to:to]
			from = to
		}
	}
	c.texts = k.texts.String()
	return nil
}

// textSize is how long the texts of all creatives are. They are copied out of
// the snapshot, since its strings are parts of one, which would stay with them.
func (k *compiler) textSize() (n int) {
	for i := range k.snapshot.Creatives {
		from := &k.snapshot.Creatives[i]
		n += len(from.LandingURL) + len(from.Markup) + len(from.Image.SHA256)/2
	}
	return n
}

// orderCreatives sorts by line item, shape and id; the keys it returns are the
// line items' places.
func (k *compiler) orderCreatives() ([]ranked, error) {
	creatives := k.snapshot.Creatives
	order := make([]ranked, len(creatives))
	for i := range order {
		order[i] = ranked{uint64(creatives[i].ID), uint32(i)}
	}
	order = sortByKey(order)
	k.shapeOf = make([]uint16, len(creatives))
	for i := range order {
		from := &creatives[order[i].from]
		number, err := k.shape(Shape{from.Format, from.Width, from.Height})
		if err != nil {
			return nil, err
		}
		k.shapeOf[order[i].from] = number
		order[i].key = uint64(number)
	}
	order = sortByKey(order)
	for i := range order {
		from := &creatives[order[i].from]
		item, ok := k.catalog.place(from.LineItem)
		if !ok {
			return nil, fmt.Errorf("creative %d is of line item %d, which is not there", from.ID, from.LineItem)
		}
		order[i].key = uint64(item)
	}
	return sortByKey(order), nil
}

func (k *compiler) creative(number int) (c Creative, err error) {
	from := &k.snapshot.Creatives[number]
	if !isLanding(from.LandingURL) {
		return c, fmt.Errorf("creative %d has a landing URL that is no place for a redirect", from.ID)
	}
	c = Creative{ID: from.ID, Revision: int32(from.Revision), Shape: k.shapeOf[number], landing: k.add(from.LandingURL)}
	if from.Format == ad.Banner {
		err = k.addImage(&c, from)
	} else {
		c.content = k.add(from.Markup)
	}
	if err != nil {
		return c, err
	}
	if c.Attributes, err = bitsOf("creative", from.ID, from.Attributes); err != nil {
		return c, err
	}
	c.Categories, err = k.categories.list(from.Categories, ancestors)
	return c, err
}

func (k *compiler) add(text string) span {
	s := span{uint32(k.texts.Len()), uint32(len(text))}
	k.texts.WriteString(text)
	return s
}

func (k *compiler) addImage(c *Creative, from *snapshot.Creative) error {
	var digits [2 * sha256.Size]byte
	n := copy(digits[:], from.Image.SHA256)
	digest, err := hex.AppendDecode(digits[:0], digits[:n])
	if err != nil || len(from.Image.SHA256) != len(digits) {
		return fmt.Errorf("creative %d has an image without a digest", from.ID)
	}
	kind := slices.Index(imageTypes[1:], from.Image.Type)
	if kind < 0 {
		return fmt.Errorf("creative %d has an image of type %.20q", from.ID, from.Image.Type)
	}
	c.image, c.content = uint8(kind+1), span{uint32(k.texts.Len()), sha256.Size}
	k.texts.Write(digest)
	return nil
}

// isLanding refuses what could break out of the header that a redirect is: the
// last look at a URL before it is signed.
func isLanding(url string) bool {
	if !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
		return false
	}
	for i := range len(url) {
		if url[i] <= ' ' || url[i] == 0x7f {
			return false
		}
		if url[i] >= utf8.RuneSelf {
			return !strings.ContainsFunc(url, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) })
		}
	}
	return true
}

// shape numbers shapes as they come. Formats are constants here, not parts of
// the snapshot's strings.
func (k *compiler) shape(s Shape) (uint16, error) {
	number, known := k.shapes[s]
	if !known {
		if len(k.shapes) > math.MaxUint16 {
			return 0, fmt.Errorf("creatives have more than %d kinds of format and size", math.MaxUint16+1)
		}
		number = uint16(len(k.shapes))
		k.shapes[s] = number
		k.catalog.Shapes = append(k.catalog.Shapes, Shape{constant(s.Format), s.Width, s.Height})
	}
	return number, nil
}

// constant is the same format as one of the program's own strings.
func constant(f ad.Format) ad.Format {
	known := [...]ad.Format{ad.Banner, ad.HTML, ad.Native, ad.Video}
	if i := slices.Index(known[:], f); i >= 0 {
		return known[i]
	}
	return ad.Format(strings.Clone(string(f)))
}
