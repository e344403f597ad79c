package delivery

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/delivery/token"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/postgres/postgrestest"
)

// A process that ends while its bucket is away leaves its events in the
// database: all of them, sealed, and nothing on its disk. The next one on the
// same disk has nothing to ship and says nothing else.
func TestRunSpools(t *testing.T) {
	t.Parallel()
	cfg := usable(t)
	pool := postgrestest.New(t)
	cfg.DatabaseURL = pool.Config().ConnString()
	publish(t, cfg.BucketURL, 1)
	r := start(t, cfg)
	c := client(t)
	eventually(t, "ready", func() bool { return do(t, c, "GET", r.ops+"/readyz", "").Status == 200 })
	events := filepath.Join(strings.TrimPrefix(cfg.BucketURL, "file://"), "events")
	if err := os.RemoveAll(events); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(events, nil, 0o600); err != nil { // a file where the folder would be
		t.Fatal(err)
	}
	file, err := os.ReadFile(cfg.TokenKeys)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.ParseKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	const impressions = 30
	for i := range uint32(impressions) {
		claim := testReservation()
		claim.Index, claim.DecidedAt = i, time.Now().UTC().Truncate(time.Millisecond)
		if got := do(t, c, "GET", r.public+"/t/i/"+string(keys.Sign(nil, token.Impression, &claim, nil)), ""); got.Status != 200 {
			t.Fatalf("impression %d: %+v", i, got)
		}
	}
	if err := r.end(t); err != nil {
		t.Fatalf("all is in the spool, and the process ends with: %v", err)
	}
	counted, segments := spooled(t, pool)
	if counted[event.Impression] != impressions || counted[event.End] != 1 {
		t.Errorf("in the spool: %v in %d segments", counted, segments)
	}
	if left, err := filepath.Glob(filepath.Join(cfg.StateDir, "log", "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("left on disk: %v, %v", left, err)
	}

	if err := os.Remove(events); err != nil {
		t.Fatal(err)
	}
	r = start(t, cfg)
	if err := r.end(t); err != nil {
		t.Error(err)
	}
	if log := r.log.String(); strings.Contains(log, "quarantined") || strings.Contains(log, "spool") {
		t.Error(log)
	}
	if _, again := spooled(t, pool); again != segments {
		t.Errorf("the next process spooled %d segments", again-segments)
	}
}

// spooled counts the records in the database's spool by type.
func spooled(t *testing.T, pool *pgxpool.Pool) (counted map[event.Type]int, segments int) {
	t.Helper()
	rows, err := pool.Query(t.Context(), "SELECT process_id, seq, body FROM spool ORDER BY process_id, seq")
	if err != nil {
		t.Fatal(err)
	}
	counted = make(map[event.Type]int)
	var process ulid.ULID
	var seq uint64
	var body []byte
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&process), &seq, &body}, func() error {
		segments++
		segment, err := event.NewReader(body, process, seq)
		for ok := err == nil; ok; {
			var record event.Record
			if ok, err = segment.Next(&record); ok {
				counted[record.Type]++
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return counted, segments
}
