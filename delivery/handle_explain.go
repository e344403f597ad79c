package delivery

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/catalog"
	"github.com/hayate-ads/hayate/internal/ad"
)

// explainer answers POST /explain on the ops port: how line items fare for a
// decision request, and why. Query parameters, all optional: line_item=ID for
// that one only; country=JP for a visitor there, whatever the address says; limit
// and offset for a part of each placement's rows, the nearest to winning first.
// It walks the whole catalog, so it does one at a time; whoever comes meanwhile
// gets 429.
type explainer struct {
	server *server
	busy   sync.Mutex
}

// Rows of each placement.
const (
	explainLimit    = 1_000 // unless asked otherwise
	maxExplainLimit = 100_000
)

// explained is the answer's form.
type explained struct {
	Generation   uint64                `json:"generation"`
	LineItems    int                   `json:"line_items"` // how many rows each placement has in all
	Explanations []auction.Explanation `json:"explanations"`
}

func (e *explainer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page, err := explainPage(r.URL.Query())
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		writeError(w, http.StatusRequestEntityTooLarge, &requestError{"body_too_large", "send at most 256 KB"})
		return
	}
	var request adRequest
	if err := new(decoder).decode(body, &request); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	asked := e.asked(&request)
	if err := inCountry(asked, r.URL.Query().Get("country")); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	serving := e.server.board.current.Load()
	if serving == nil {
		writeError(w, http.StatusServiceUnavailable, &requestError{"not_ready", "no snapshot has been loaded yet"})
		return
	}
	if err := request.on(serving.catalog); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	if !e.busy.TryLock() {
		w.Header().Set("Retry-After", "1")
		writeError(w, http.StatusTooManyRequests, &requestError{"busy", "another explanation is being made, try again"})
		return
	}
	defer e.busy.Unlock()
	w.Header().Set("Content-Type", "application/json")
	e.stream(w, r, serving.catalog, asked, page)
}

func explainPage(query url.Values) (page auction.Page, err error) {
	number := func(name string, otherwise, least, most int64) int64 {
		text := query.Get(name)
		if text == "" {
			return otherwise
		}
		n, failed := strconv.ParseInt(text, 10, 64)
		if failed != nil || n < least || n > most {
			err = invalidRequest("%s is a whole number from %d to %d", name, least, most)
		}
		return n
	}
	page.LineItem = ad.ID(number("line_item", 0, 1, math.MaxInt64))
	page.Offset = int(number("offset", 0, 0, math.MaxInt32))
	page.Limit = int(number("limit", explainLimit, 1, maxExplainLimit))
	return page, err
}

// asked is what the visitor whom the request describes would ask; of whoever
// calls the ops port nothing is taken.
func (e *explainer) asked(request *adRequest) *auction.Request {
	s := e.server
	request.who.Now = s.now()
	asked := &auction.Request{
		Placements: request.placements, Seed: seed(), Now: s.now().UnixMicro(),
		Process: s.process(), Hold: s.cfg.Hold,
	}
	asked.Country, asked.Device = s.visitors.Describe(&request.who, &asked.Query)
	return asked
}

// stream writes the form of explained row by row, so that a large catalog is
// never in memory a second time. It ends early when nobody listens any more.
func (e *explainer) stream(w io.Writer, r *http.Request, c *catalog.Catalog, asked *auction.Request, page auction.Page) {
	out := bufio.NewWriterSize(w, 64<<10)
	encoder := json.NewEncoder(out)
	fmt.Fprintf(out, `{"generation":%d,"line_items":%d,"explanations":[`, c.Generation, len(c.LineItems))
	first := true
	auction.ExplainEach(c, asked, page, func(x *auction.Explanation) bool {
		if !first {
			_ = out.WriteByte(',')
		}
		first = false
		return encoder.Encode(x) == nil && r.Context().Err() == nil
	})
	_, _ = out.WriteString("]}\n")
	_ = out.Flush()
}

func writeError(w http.ResponseWriter, status int, err error) {
	var mistake *requestError
	if !errors.As(err, &mistake) {
		mistake = &requestError{"invalid_request", "the request cannot be read"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error": map[string]string{"code": mistake.code, "message": mistake.message},
	})
}
