package delivery

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/delivery/visitor"
	"github.com/hayate-ads/hayate/internal/ad"
)

// Bounds of one ad request.
const (
	maxPlacements = 20
	maxKeywords   = 100  // key and value pairs
	maxText       = 8192 // bytes of a URL, user agent, id or consent string
	maxSegments   = 1000
	maxCategories = 50
)

// adRequest is what a publisher asks, whichever endpoint it came by. It is
// reused: slices point into the request's body or headers or into arenas of the
// scratch and are gone with it.
//
// A user's id is checked for its form and not kept: nothing here uses one yet, so
// there is nothing that consent could allow or GPC forbid.
type adRequest struct {
	placements []ad.ID
	bundle     []byte // the app that asks, by its own word
	test       bool
	who        visitor.Visitor
	behalf     bool // a server asks for who: its own connection says nothing of him

	text []byte // arena of keywords
}

func (r *adRequest) reset() {
	r.who.Reset()
	r.placements, r.bundle, r.test, r.behalf, r.text = r.placements[:0], nil, false, false, r.text[:0]
}

// requestError is a mistake of the caller, told in words that name the field.
type requestError struct{ code, message string }

func (e *requestError) Error() string { return e.code + ": " + e.message }

func invalidRequest(format string, args ...any) error {
	return &requestError{"invalid_request", fmt.Sprintf(format, args...)}
}

// addPlacement takes a placement's id as the console shows it.
func (r *adRequest) addPlacement(text []byte) error {
	id, ok := parseID(text)
	if !ok {
		return invalidRequest("a placement's id is the positive whole number that the console shows, such as \"12\"")
	}
	if len(r.placements) == maxPlacements {
		return invalidRequest("more than %d placements in one request", maxPlacements)
	}
	for _, other := range r.placements {
		if other == id {
			return invalidRequest("placement %d is asked for twice: make two placements, or two requests", id)
		}
	}
	r.placements = append(r.placements, id)
	return nil
}

// parseID reads a positive decimal without sign or leading zero, at most 18 digits.
func parseID(text []byte) (ad.ID, bool) {
	if len(text) == 0 || len(text) > 18 || text[0] == '0' {
		return 0, false
	}
	var id ad.ID
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		id = id*10 + ad.ID(c-'0')
	}
	return id, true
}

func (r *adRequest) addKeyword(key, value []byte) error {
	if len(r.who.Keywords) == maxKeywords {
		return invalidRequest("more than %d keywords in one request", maxKeywords)
	}
	from := len(r.text)
	text, err := visitor.AppendKeyword(r.text, key, value)
	if err != nil {
		return invalidRequest("keywords: %v", err)
	}
	r.text = text
	r.who.Keywords = append(r.who.Keywords, text[from:len(text):len(text)])
	return nil
}

// shortSegment is a length in bytes, far below the limit of segments, up to which
// plain text is known to be one without asking.
const shortSegment = 64

// addSegment takes a segment; plain tells that text is of the characters from
// space to tilde only. Nearly all are, and come by the dozen.
func (r *adRequest) addSegment(text []byte, plain bool) error {
	if len(r.who.Segments) == maxSegments {
		return invalidRequest("user.segments: more than %d", maxSegments)
	}
	if plain && len(text) > 0 && len(text) <= shortSegment && text[0] != ' ' && text[len(text)-1] != ' ' {
		r.who.Segments = append(r.who.Segments, text)
		return nil
	}
	segment, err := visitor.ParseSegment(text)
	if err != nil {
		return invalidRequest("user.segments: %v", err)
	}
	r.who.Segments = append(r.who.Segments, segment)
	return nil
}

func (r *adRequest) addCategory(id []byte) error {
	if len(r.who.Categories) == maxCategories {
		return invalidRequest("page.categories: more than %d", maxCategories)
	}
	r.who.Categories = append(r.who.Categories, id)
	return nil
}

// visitorOf adds to sc's request what the connection says of who asks. A request
// that describes a device comes from a server on a visitor's behalf: then that
// description is all that is known, and the server's own address means nothing.
// The error is about what the catalog knows of the placements.
func (s *server) visitorOf(ctx *fasthttp.RequestCtx, on *serving, sc *scratch) error {
	r := &sc.request
	if !r.behalf {
		r.who.IP = s.clientIP(ctx, sc)
		r.headers(&ctx.Request.Header)
	}
	return r.on(on.catalog)
}

// describe fills the auction's query with what targeting may ask of who asks now.
func (s *server) describe(sc *scratch, now time.Time) {
	req, who := &sc.auction, &sc.request.who
	req.Query.Reset()
	who.Now = now
	req.Country, req.Device = s.visitors.Describe(who, &req.Query)
	for range who.Unknown {
		s.metrics.rejected("unknown_category")
	}
}

// headers takes what a browser says of itself, in one walk over the headers. What
// the request has said already counts before it, but for Sec-GPC: nobody can
// take a visitor's objection back.
func (r *adRequest) headers(h *fasthttp.RequestHeader) {
	who := &r.who
	for name, value := range h.All() {
		switch string(name) {
		case "User-Agent":
			who.Hints.UserAgent = value
		case "Accept-Language":
			unlessSaid(&who.Language, value)
		case "Referer":
			unlessSaid(&who.URL, value)
		case "Sec-Gpc":
			who.Consent.GPC = who.Consent.GPC || string(value) == "1"
		case "Sec-Ch-Ua":
			unlessSaid(&who.Hints.Brands, value)
		case "Sec-Ch-Ua-Mobile":
			unlessSaid(&who.Hints.Mobile, value)
		case "Sec-Ch-Ua-Platform":
			unlessSaid(&who.Hints.Platform, value)
		case "Sec-Ch-Ua-Platform-Version":
			unlessSaid(&who.Hints.PlatformVersion, value)
		case "Sec-Ch-Ua-Model":
			unlessSaid(&who.Hints.Model, value)
		case "Sec-Ch-Ua-Full-Version-List":
			unlessSaid(&who.Hints.FullVersions, value)
		}
	}
}

func unlessSaid(field *[]byte, value []byte) {
	if len(*field) == 0 {
		*field = value
	}
}

// on holds the request against the properties that its placements are of. An app
// that names another one's bundle is refused; a page elsewhere may well be one
// that frames the property's, so it only loses its address.
func (r *adRequest) on(c *catalog.Catalog) error {
	for _, id := range r.placements {
		p := c.Placement(id)
		if p == nil {
			continue // answered as unknown_placement
		}
		if len(r.bundle) > 0 && string(r.bundle) != p.Domain {
			return invalidRequest("app.bundle is not that of the app which placement %d is of", id)
		}
		if !r.who.Elsewhere && len(r.who.URL) > 0 {
			r.who.Elsewhere = !visitor.On(r.who.URL, p.Domain)
		}
	}
	return nil
}

// parameter takes one parameter of GET /v1/ad that says who asks and where.
// Others are ignored. Names of consent are those that the IAB gave them.
func (r *adRequest) parameter(name, value []byte) error {
	if len(value) == 0 {
		return nil
	}
	if len(value) > maxText {
		return invalidRequest("%s is longer than %d bytes", name, maxText)
	}
	consent := &r.who.Consent
	switch string(name) {
	case "url":
		r.who.URL = value
	case "lang":
		r.who.Language = value
	case "bundle":
		r.bundle = value
	case "seg":
		return r.addSegment(value, false)
	case "cat":
		return r.addCategory(value)
	case "cattax":
		r.who.Cattax, _ = wholeNumber(value)
	case "gdpr_consent":
		consent.TCF = value
	case "gpp":
		consent.GPP = value
	case "us_privacy":
		consent.USPrivacy = value
	case "gpp_sid":
		r.sections(value)
	default:
		r.flag(name, value)
	}
	return nil
}

// flag takes a parameter that is 1 or 0; anything else, such as a macro that
// nobody has filled in, is as if not there.
func (r *adRequest) flag(name, value []byte) {
	set := string(value) == "1"
	if !set && string(value) != "0" {
		return
	}
	consent := &r.who.Consent
	switch string(name) {
	case "gdpr":
		consent.GDPR = answer(set)
	case "gpc":
		consent.GPC = consent.GPC || set
	case "lmt":
		consent.LMT = set
	case "coppa":
		consent.COPPA = set
	}
}

func answer(yes bool) visitor.Answer {
	if yes {
		return visitor.Yes
	}
	return visitor.No
}

// sections reads a list such as "7,8". What is no number may be anything, so it
// counts as a section that nobody can read.
func (r *adRequest) sections(list []byte) {
	for len(list) > 0 {
		var text []byte
		text, list, _ = bytes.Cut(list, []byte{','})
		id, ok := wholeNumber(text)
		if !ok {
			id = math.MaxInt
		}
		r.addSection(id)
	}
}

// addSection takes the id of a GPP section that applies. -1 says that none does,
// and 0 is what some platforms send for the same.
func (r *adRequest) addSection(id int) {
	r.who.Consent.Scoped = true
	r.who.Consent.Sections = r.who.Consent.Sections.With(id)
}

// wholeNumber reads a decimal of at most nine digits, with or without a minus.
func wholeNumber(text []byte) (n int, ok bool) {
	digits := bytes.TrimPrefix(text, []byte{'-'})
	if len(digits) == 0 || len(digits) > 9 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	if len(digits) < len(text) {
		n = -n
	}
	return n, true
}
