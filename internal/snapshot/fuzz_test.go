package snapshot_test

import (
	"bytes"
	"testing"

	"github.com/hayate-ads/hayate/internal/snapshot"
	"github.com/hayate-ads/hayate/internal/snapshot/snapshottest"
)

// FuzzParse changes the content behind the checksum as well: the file is tried
// as it comes and sealed again.
func FuzzParse(f *testing.F) {
	f.Add(snapshot.Append(nil, snapshottest.Make(1, 0)))
	f.Add(snapshot.Append(nil, snapshottest.Make(2, 1)))
	f.Add([]byte("HAYATESN"))
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, b := range [][]byte{file, snapshottest.Seal(bytes.Clone(file))} {
			s, err := snapshot.Parse(b, snapshot.Limits{Size: 1 << 20})
			if err != nil {
				if reason(err) == "" {
					t.Errorf("an error without reason: %v", err)
				}
				continue
			}
			again := snapshot.Append(nil, s)
			back, err := snapshot.Parse(again, snapshot.Limits{})
			if err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			if !bytes.Equal(again, snapshot.Append(nil, back)) {
				t.Error("written twice, two files")
			}
		}
	})
}

func FuzzParsePointer(f *testing.F) {
	f.Add(pointer(1).JSON())
	f.Add([]byte(`{"generation":1,"key":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := snapshot.ParsePointer(text)
		if err != nil {
			if reason(err) != snapshot.BadPointer {
				t.Errorf("an error without reason: %v", err)
			}
			return
		}
		again, err := snapshot.ParsePointer(p.JSON())
		if err != nil || again.Key != p.Key || again.Size != p.Size || !again.CreatedAt.Equal(p.CreatedAt) {
			t.Errorf("%+v came back as %+v, %v", p, again, err)
		}
	})
}
