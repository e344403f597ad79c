package delivery

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/hayate-ads/hayate/internal/telemetry"
)

// opsServer is the port for the cluster and the operators: health, version,
// explain, profiles, and the state at /debug/state. Ready means that a snapshot
// is loaded, however old, that events can be logged, and that the process is not
// draining; Postgres and the bucket are no part of it, since without them it
// serves on.
func (p *process) opsServer() *http.Server {
	mux := telemetry.Ops("delivery", p.cfg.Version,
		telemetry.Check{Name: "snapshot", Ready: p.loaded},
		telemetry.Check{Name: "log", Ready: p.events.Writable},
		telemetry.Check{Name: "drain", Ready: p.notDraining},
	)
	mux.Handle("POST /explain", &explainer{server: p.server})
	mux.HandleFunc("GET /debug/state", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.state())
	})
	return &http.Server{
		Handler: mux, ReadHeaderTimeout: readTimeout, ReadTimeout: 10 * time.Second,
		WriteTimeout: 2 * time.Minute, // a profile takes its time
		IdleTimeout:  idleTimeout, MaxHeaderBytes: maxHeadBytes,
	}
}

func (p *process) loaded() error {
	if p.server.board.current.Load() == nil {
		return errors.New("none is loaded yet")
	}
	return nil
}

func (p *process) notDraining() error {
	if p.server.draining.Load() {
		return errors.New("the process is draining")
	}
	return nil
}

// state is what /debug/state shows, of this moment.
type state struct {
	Process          string    `json:"process"`
	BankTime         time.Time `json:"bank_time"`
	BankSilence      string    `json:"bank_silence"`
	Generation       uint64    `json:"generation"`
	SnapshotAt       time.Time `json:"snapshot_at"`
	LineItems        int       `json:"line_items"`
	LineItemsServing int64     `json:"line_items_serving"`
	LogBacklog       int       `json:"log_backlog_segments"`
	LogBacklogBytes  int64     `json:"log_backlog_bytes"`
	LogDropped       int64     `json:"log_dropped"`
	LogRefused       int64     `json:"log_refused"`
	LogQuarantined   int64     `json:"log_quarantined"`
	Draining         bool      `json:"draining"`
}

func (p *process) state() state {
	stats := p.events.Stats()
	s := state{
		Process: p.bank.Process().String(), BankTime: p.bank.Now(), BankSilence: p.bank.Silence().String(),
		LineItemsServing: p.bank.Serving(), Draining: p.server.draining.Load(),
		LogDropped: stats.Dropped, LogRefused: stats.Refused, LogQuarantined: stats.Quarantined,
	}
	s.LogBacklog, s.LogBacklogBytes = p.events.Backlog()
	if current := p.server.board.current.Load(); current != nil {
		s.Generation, s.SnapshotAt = current.catalog.Generation, current.catalog.CreatedAt
		s.LineItems = len(current.catalog.LineItems)
	}
	return s
}
