package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/rule"
)

// askInput describes the request that delivery is asked about.
type askInput struct {
	Placement string `json:"placement"`
	Country   string `json:"country"`
	Device    string `json:"device"`
	Page      string `json:"page"`
	Keywords  string `json:"keywords"`
}

// question is an askInput as read.
type question struct {
	placement ad.ID
	country   string
	device    string
	page      string
	keywords  map[string][]string
}

const maxQuestion = 64 << 10 // bytes of the form

func (in askInput) parse() (q question, err error) {
	var p parser
	if q.placement = p.id("placement", in.Placement); q.placement == 0 && !p.has("placement") {
		p.fail("placement", ad.Required, "has to be given")
	}
	q.country = strings.ToUpper(strings.TrimSpace(in.Country))
	if q.country != "" && !rule.Country.Valid(q.country) {
		p.fail("country", ad.Unknown, "has to be a country's two-letter code such as JP")
	}
	q.device = textOr(in.Device, "desktop")
	if userAgents[q.device] == "" {
		p.fail("device", ad.Unknown, "has to be desktop, mobile, tablet or tv")
	}
	q.page = strings.TrimSpace(in.Page)
	if u, err := url.Parse(q.page); q.page != "" && (err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || len(q.page) > 2000) {
		p.fail("page", ad.BadSyntax, "has to be an address that begins with https:// or http://")
	}
	q.keywords = p.keywords("keywords", in.Keywords)
	if len(p.found) > 0 {
		return q, p.found
	}
	return q, nil
}

// keywords reads lines of key=value.
func (p *parser) keywords(field, text string) map[string][]string {
	words := map[string][]string{}
	for _, line := range keywordLines(text) {
		key, value, ok := strings.Cut(line, "=")
		if key, value = strings.TrimSpace(key), strings.TrimSpace(value); !ok || key == "" || value == "" {
			p.fail(field, ad.BadSyntax, "has to be key=value on each line")
			return nil
		}
		words[key] = append(words[key], value)
	}
	return words
}

// userAgents stand for the devices that the form offers; delivery knows devices
// by nothing else.
var userAgents = map[string]string{
	"desktop": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"mobile":  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	"tablet":  "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	"tv":      "Mozilla/5.0 (SMART-TV; Linux; Tizen 8.0) AppleWebKit/537.36 (KHTML, like Gecko) 108.0.5359.1/8.0 TV Safari/537.36",
}

// body is the question as a decision request.
func (q question) body() ([]byte, error) {
	request := map[string]any{
		"placements": []any{map[string]string{"id": strconv.FormatInt(int64(q.placement), 10)}},
		"device":     map[string]any{"ua": userAgents[q.device]},
	}
	if q.page != "" {
		request["page"] = map[string]string{"url": q.page}
	}
	if len(q.keywords) > 0 {
		request["keywords"] = q.keywords
	}
	return json.Marshal(request)
}

// told is delivery's answer about one line item. Of the fields that it sends
// about others, the winner's above all, none is read.
type told struct {
	Generation uint64
	Found      bool // the line item is among what delivery serves, for this placement
	Outcome    string
	Misses     []miss
}

// Errors of asking delivery.
var (
	errNotSet = errors.New("DELIVERY_OPS_URL is not set")
	errBusy   = errors.New("delivery explains something else")
	errAway   = errors.New("no delivery process answers")
)

// refusedError is delivery's own message about the request.
type refusedError string

func (e refusedError) Error() string { return string(e) }

const (
	askPatience = 5 * time.Second
	maxAnswer   = 8 << 20 // bytes: an older delivery answers for every line item
)

// asker asks a delivery process; it follows no redirect, since ops ports have none.
var asker = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// ask asks a delivery process what would become of the line item. Errors are
// those above; whatever else fails is errAway, wrapped.
func (c *console) ask(ctx context.Context, lineItem ad.ID, q question) (told, error) {
	if c.config.DeliveryOpsURL == "" {
		return told{}, errNotSet
	}
	body, err := q.body()
	if err != nil {
		return told{}, err
	}
	query := url.Values{"line_item": {strconv.FormatInt(int64(lineItem), 10)}}
	if q.country != "" {
		query.Set("country", q.country)
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.config.DeliveryOpsURL, "/")+"/explain?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return told{}, fmt.Errorf("%w: %w", errAway, err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := asker.Do(r)
	if err != nil {
		return told{}, fmt.Errorf("%w: %w", errAway, err)
	}
	defer response.Body.Close()
	return readTold(response, lineItem)
}

func readTold(response *http.Response, lineItem ad.ID) (told, error) {
	content := json.NewDecoder(io.LimitReader(response.Body, maxAnswer))
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusTooManyRequests:
		return told{}, errBusy
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		var refused struct {
			Error struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := content.Decode(&refused); err != nil || refused.Error.Message == "" {
			return told{}, fmt.Errorf("%w: status %d", errAway, response.StatusCode)
		}
		return told{}, refusedError(clip(refused.Error.Message, 300))
	default:
		return told{}, fmt.Errorf("%w: status %d", errAway, response.StatusCode)
	}
	var answer struct {
		Generation   uint64        `json:"generation"`
		Explanations []explanation `json:"explanations"`
	}
	if err := content.Decode(&answer); err != nil {
		return told{}, fmt.Errorf("%w: %w", errAway, err)
	}
	t := told{Generation: answer.Generation}
	for i := range answer.Explanations {
		if e := &answer.Explanations[i]; e.LineItem == lineItem {
			t.Found, t.Outcome, t.Misses = true, e.Outcome, e.misses()
			break
		}
	}
	return t, nil
}

// explanation is what is read of delivery's words on one line item.
type explanation struct {
	LineItem ad.ID  `json:"line_item"`
	Outcome  string `json:"outcome"`
	Causes   []miss `json:"causes"`
}

// miss is one thing that keeps the line item from winning.
type miss struct {
	Predicate string   `json:"predicate"` // a dimension's name, "size", "floor" or "dates"
	Exclude   bool     `json:"exclude"`   // none of Wanted may be there; else one of them has to
	Wanted    []string `json:"wanted"`
	More      int      `json:"more"` // how many further values are wanted
	Got       []string `json:"got"`  // empty: the request lacks it
}

// own are the outcomes whose values speak of the line item and the request only.
// Those of the others may name who won or whom it competes with, and are nobody's
// business here.
var own = map[string]bool{"no_match": true, "no_creative": true, "below_floor": true, "out_of_date": true}

func (e *explanation) misses() []miss {
	if !own[e.Outcome] {
		return nil
	}
	return e.Causes
}
