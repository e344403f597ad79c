package ad

import "time"

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
	LandingURL string // http or https, where a click ends
	Image      Image  // Banner only
	Markup     string // HTML only; may use ${CLICK_URL}
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
