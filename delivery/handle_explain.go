package delivery

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/delivery/visitor"
)

// explainer answers POST /explain on the ops port: how every line item fares for
// a decision request, and why. It walks the whole catalog, so it does one at a
// time; whoever comes meanwhile gets 429.
type explainer struct {
	server *server
	busy   sync.Mutex
}

// explained is the answer's form.
type explained struct {
	Generation   uint64                `json:"generation"`
	Explanations []auction.Explanation `json:"explanations"`
}

func (e *explainer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.busy.TryLock() {
		w.Header().Set("Retry-After", "1")
		writeError(w, http.StatusTooManyRequests, &requestError{"busy", "another explanation is being made, try again"})
		return
	}
	defer e.busy.Unlock()
	serving := e.server.board.current.Load()
	if serving == nil {
		writeError(w, http.StatusServiceUnavailable, &requestError{"not_ready", "no snapshot has been loaded yet"})
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
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(explained{serving.catalog.Generation, e.explain(serving, &request)})
}

// explain asks on behalf of the visitor whom the request describes; of whoever
// calls the ops port nothing is taken.
func (e *explainer) explain(on *serving, request *adRequest) []auction.Explanation {
	s := e.server
	v := visitor.Visitor{IP: request.ip, Hints: visitor.Hints{UserAgent: request.userAgent}, Keywords: request.keywords}
	asked := &auction.Request{
		Placements: request.placements, Seed: seed(), Now: s.now().UnixMicro(),
		Process: s.process(), Hold: s.cfg.Hold,
	}
	asked.Country, asked.Device = s.visitors.Describe(&v, &asked.Query)
	explanations := auction.Explain(on.catalog, asked)
	if explanations == nil {
		return []auction.Explanation{} // "[]" rather than "null"
	}
	return explanations
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
