package render

import (
	"strconv"

	"github.com/hayate-ads/hayate/delivery/auction"
)

// Response is the answer to POST /v1/decisions.
type Response struct {
	ID         []byte // of the answer, for support and logs
	Generation uint64
	Decisions  []auction.Decision
	Tokens     []Tokens // Tokens[i] belongs to Decisions[i]; unused where that has no winner
	ShowPrice  bool     // write price_micros: what the impression reserved
}

// AppendDecisions appends the JSON form of resp:
//
//	{"id","generation","decisions":[{"placement","line_item","creative","advertiser","format","width","height",
//	 "html","click","impressions":[url],"viewables":[url],"price_micros"?} | {"placement","no_fill"}]}
//
// Identifiers are strings of digits, as in requests; the others are numbers.
func (r *Renderer) AppendDecisions(dst []byte, resp *Response) []byte {
	dst = append(dst, `{"id":"`...)
	dst = appendQuoted(dst, resp.ID)
	dst = append(dst, `","generation":`...)
	dst = strconv.AppendUint(dst, resp.Generation, 10)
	dst = append(dst, `,"decisions":[`...)
	for i := range resp.Decisions {
		if i > 0 {
			dst = append(dst, ',')
		}
		d := &resp.Decisions[i]
		dst = append(dst, `{"placement":"`...)
		dst = strconv.AppendInt(dst, int64(d.Placement), 10)
		if d.NoFill != auction.Filled {
			dst = append(dst, `","no_fill":"`...)
			dst = append(dst, d.NoFill...)
			dst = append(dst, `"}`...)
			continue
		}
		dst = r.appendWinner(dst, d, &resp.Tokens[i])
		if resp.ShowPrice {
			dst = append(dst, `,"price_micros":`...)
			dst = strconv.AppendInt(dst, int64(d.Claim.Price), 10)
		}
		dst = append(dst, '}')
	}
	return append(dst, `]}`...)
}

// appendWinner goes on behind the placement's id. Token texts are base64url and
// need no escaping.
func (r *Renderer) appendWinner(dst []byte, d *auction.Decision, t *Tokens) []byte {
	dst = strconv.AppendInt(append(dst, `","line_item":"`...), int64(d.LineItem.ID), 10)
	dst = strconv.AppendInt(append(dst, `","creative":"`...), int64(d.Creative.ID), 10)
	dst = strconv.AppendInt(append(dst, `","advertiser":"`...), int64(d.LineItem.Advertiser), 10)
	dst = append(dst, r.jsonShape[d.Creative.Shape]...)
	dst = r.appendQuotedHTML(dst, d, t)
	dst = append(append(dst, r.jsonClick...), t.Click...)
	dst = append(append(dst, r.jsonImpression...), t.Impression...)
	dst = append(append(dst, r.jsonViewable...), t.Viewable...)
	return append(dst, `"]`...)
}
