package ad

import (
	"encoding/hex"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Format is how a creative is shown.
type Format string

const (
	Banner Format = "banner" // one image
	HTML   Format = "html"   // HTML5 markup, shown in a sandboxed frame
)

// Formats that placements may already ask for while no creative answers them yet.
const (
	Native Format = "native"
	Video  Format = "video"
)

// ParseFormat accepts the formats there are.
func ParseFormat(text string) (Format, error) {
	return oneOf("format", Format(text), Banner, HTML, Native, Video)
}

// Review is where a revision stands. A revision's content never changes; an
// edit makes a new revision, which starts as a draft and needs review again.
type Review string

const (
	Draft    Review = "draft"
	Pending  Review = "pending" // submitted
	Approved Review = "approved"
	Rejected Review = "rejected" // with a reason
)

// Creative is one ad of a line item. What serves is its newest approved
// revision: an edit under review does not take the approved ad off the air;
// pausing does.
type Creative struct {
	ID         ID
	LineItemID ID
	Name       string
	Status     Status
	Latest     Revision  // the newest revision, whatever its review
	Serving    *Revision // the newest approved one; nil: none yet
	Stamp
}

// Revision is the content of a creative, frozen.
type Revision struct {
	CreativeID ID
	Number     int // from 1
	Format     Format
	Width      int // CSS pixels
	Height     int
	LandingURL string   // http or https, where a click ends
	Image      Image    // Banner only
	Markup     string   // HTML only; may use ${CLICK_URL}
	Categories []string // of what it advertises, values of rule.Category, ascending
	Attributes []int    // AdCOM 1.0 "Creative Attributes", 1 to MaxAttribute, ascending
	Review     Review
	Reason     string // why rejected
	ReviewedBy ID     // user; 0: not reviewed
	ReviewedAt time.Time
	CreatedAt  time.Time
}

// Image is an uploaded picture in the bucket, under assets/<SHA256>.<png|jpg|gif>.
type Image struct {
	SHA256 string // hex, of the stored bytes
	Type   string // "image/png", "image/jpeg", "image/gif"
	Bytes  int64
}

// MaxAttribute is the highest number in AdCOM 1.0's list "Creative Attributes".
const MaxAttribute = 17

const (
	maxLandingURL = 2048
	maxMarkup     = 150 * 1024
	maxImage      = 150 * 1024
	maxReason     = 1000 // runes
	maxCategories = 50
)

// Validate checks the fields that people set, the latest revision's included.
// The error is an [Invalid].
func (c Creative) Validate() error {
	var k checks
	k.parent("line_item_id", c.LineItemID)
	k.name("name", c.Name)
	k.status(c.Status)
	k.revision(c.Latest)
	return k.err()
}

// Validate checks the content. The error is an [Invalid].
func (r Revision) Validate() error {
	var c checks
	c.revision(r)
	return c.err()
}

func (c *checks) revision(r Revision) {
	c.between("width", r.Width, 1, maxSide)
	c.between("height", r.Height, 1, maxSide)
	c.landing("landing_url", r.LandingURL)
	c.categories("categories", r.Categories, maxCategories)
	c.attributes("attributes", r.Attributes)
	switch r.Format {
	case Banner:
		c.image(r.Image)
		if r.Markup != "" {
			c.fail("markup", Conflict, "belongs to the html format only")
		}
	case HTML:
		c.markup(r.Markup)
		if r.Image != (Image{}) {
			c.fail("image", Conflict, "belongs to the banner format only")
		}
	default:
		c.fail("format", Unknown, "has to be banner or html")
	}
}

// landing wants an address that a redirect may lead to, whatever parses it.
func (c *checks) landing(field, text string) {
	switch {
	case text == "":
		c.fail(field, Required, "has to be given")
		return
	case len(text) > maxLandingURL:
		c.fail(field, TooLong, "has more than %d bytes", maxLandingURL)
		return
	case !utf8.ValidString(text) || strings.ContainsFunc(text, breaksURL):
		c.fail(field, BadSyntax, "has a backslash, a space, or a control or invisible character")
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Opaque != "" || u.Hostname() == "":
		c.fail(field, BadSyntax, "has to be an address that begins with http:// or https:// and a host")
	case u.User != nil:
		c.fail(field, BadSyntax, "must not carry a user name or password")
	case strings.Contains(u.Path, "{conversion}"):
		c.fail(field, BadSyntax, "has {conversion} in its path, where it stays as it is: put it into the query, as in ?hy={conversion}")
	}
}

// breaksURL tells of characters that browsers drop, or take for a slash.
func breaksURL(r rune) bool { return r == '\\' || unicode.IsSpace(r) || deceives(r) }

func (c *checks) image(i Image) {
	if sum, err := hex.DecodeString(i.SHA256); err != nil || len(sum) != 32 || strings.ToLower(i.SHA256) != i.SHA256 {
		c.fail("image", Required, "has to be uploaded")
		return
	}
	if i.Type != "image/png" && i.Type != "image/jpeg" && i.Type != "image/gif" {
		c.fail("image", Unknown, "has to be a PNG, JPEG or GIF")
	}
	if i.Bytes < 1 || i.Bytes > maxImage {
		c.fail("image", OutOfRange, "has to have at most %d KB", maxImage/1024)
	}
}

func (c *checks) markup(text string) {
	switch {
	case strings.TrimSpace(text) == "":
		c.fail("markup", Required, "has to be given")
	case len(text) > maxMarkup:
		c.fail("markup", TooLong, "has more than %d KB", maxMarkup/1024)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		c.fail("markup", BadSyntax, "is not valid UTF-8")
	}
}

// ValidateReason checks why a revision is rejected. The error is an [Invalid].
func ValidateReason(text string) error {
	var c checks
	switch trimmed := strings.TrimSpace(text); {
	case trimmed == "":
		c.fail("reason", Required, "has to be given: the advertiser reads it")
	case utf8.RuneCountInString(trimmed) > maxReason:
		c.fail("reason", TooLong, "has more than %d characters", maxReason)
	case !utf8.ValidString(trimmed) || strings.ContainsFunc(strings.ReplaceAll(trimmed, "\n", " "), deceives):
		c.fail("reason", BadSyntax, "has a control character, an invisible one or one that turns the writing direction")
	}
	return c.err()
}
