package postgres_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// A segment is spooled once, whoever asks how often; other bytes are refused and
// change nothing.
func TestSpool(t *testing.T) {
	t.Parallel()
	db, process := newDB(t), ulid.Make()
	body := bytes.Repeat([]byte{0, 0xff, 'x'}, 100_000)
	for range 2 {
		if err := db.Spool(t.Context(), process, 1, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Spool(t.Context(), process, 1, body[1:]); !errors.Is(err, postgres.ErrSpooled) {
		t.Errorf("other bytes: %v", err)
	}
	if err := db.Spool(t.Context(), process, 2, body[1:]); err != nil {
		t.Error(err)
	}
	var count int
	var first []byte
	row := db.Pool.QueryRow(t.Context(), `SELECT count(*), (SELECT body FROM spool WHERE process_id = $1 AND seq = 1) FROM spool`, [16]byte(process))
	if err := row.Scan(&count, &first); err != nil {
		t.Fatal(err)
	}
	if count != 2 || !bytes.Equal(first, body) {
		t.Errorf("%d rows, the first segment's of %d bytes", count, len(first))
	}
}
