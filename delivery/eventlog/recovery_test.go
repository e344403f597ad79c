package eventlog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/event"
)

// left is a folder as an earlier process left it: file names and contents.
type left map[string][]byte

// segmentOf makes a segment of process 1: impressions with these numbers, then
// END and the footer if asked.
func segmentOf(seq uint64, end, sealed bool, numbers ...uint64) []byte {
	w := event.NewWriter(processID(1), seq)
	b := w.AppendHeader(nil)
	at := time.Date(2026, 11, 20, 11, 0, int(seq), 0, time.UTC)
	for _, number := range numbers {
		rec := impression(number)
		rec.At = at
		b = w.AppendRecord(b, rec)
		w.Synced()
	}
	if end {
		b = w.AppendRecord(b, &event.Record{Type: event.End, At: at})
	}
	if sealed {
		b = w.AppendFooter(b)
	}
	return b
}

// TestRecovery: what an earlier process left, what must reach the bucket of it,
// and which files are set aside.
func TestRecovery(t *testing.T) {
	t.Parallel()
	f := func(name string, files left, want []uint64, segments int, quarantined ...string) {
		t.Helper()
		d, bucket := newCrashDisk(), newFakeBucket()
		folder := "log/" + processID(1).String()
		if err := d.MkdirAll(folder); err != nil {
			t.Fatal(err)
		}
		for file, content := range files {
			h, err := d.Create(folder + "/" + file)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = h.Write(content)
		}
		l := openOn(t, d, testConfig(processID(2), bucket))
		closeAll(t, l)
		got, ends, objects := numbersOf(t, bucket)
		if fmt.Sprint(got) != fmt.Sprint(want) || ends != 1 || objects != segments {
			t.Errorf("%s: events %v in %d segments with %d ENDs, want %v in %d with 1", name, got, objects, ends, want, segments)
		}
		if n := l.Stats().Quarantined; n != int64(len(quarantined)) {
			t.Errorf("%s: %d quarantined", name, n)
		}
		for _, file := range quarantined {
			if b, err := d.ReadFile(folder + ended + "/" + file); err != nil || len(b) == 0 {
				t.Errorf("%s: %s: %d bytes, %v", name, file, len(b), err)
			}
		}
		if d.at(folder) != nil || (len(quarantined) == 0 && d.at(folder+ended) != nil) {
			t.Errorf("%s: the folder is still there", name)
		}
	}
	whole, sealedOne := segmentOf(1, false, false, 1, 2, 3), segmentOf(1, false, true, 1, 2, 3)
	f("an empty folder", left{}, nil, 1)
	f("open, whole", left{"0000000001.open": whole}, []uint64{1, 2, 3}, 2)
	f("open, torn", left{"0000000001.open": whole[:len(whole)-3]}, []uint64{1, 2}, 2)
	f("open, rubbish after it", left{"0000000001.open": append(bytes.Clone(whole), "rubbish that is no frame"...)}, []uint64{1, 2, 3}, 2)
	f("open, a sector of zeros after it", left{"0000000001.open": append(bytes.Clone(whole), make([]byte, 512)...)}, []uint64{1, 2, 3}, 2)
	f("open, with its footer", left{"0000000001.open": sealedOne}, []uint64{1, 2, 3}, 2)
	f("open, nothing in it", left{"0000000001.open": nil}, nil, 1)
	f("open, a header alone", left{"0000000001.open": whole[:event.HeaderSize]}, nil, 1)
	f("sealed", left{"0000000001.seg": sealedOne}, []uint64{1, 2, 3}, 2)
	f("sealed, then open", left{"0000000001.seg": sealedOne, "0000000002.open": segmentOf(2, false, false, 4)}, []uint64{1, 2, 3, 4}, 3)
	f("sealed with END", left{"0000000001.seg": segmentOf(1, true, true, 1)}, []uint64{1}, 1)
	f("open with END", left{"0000000001.open": segmentOf(1, true, false, 1)}, []uint64{1}, 1)
	f("two open", left{"0000000001.open": whole, "0000000002.open": segmentOf(2, false, false, 4)}, []uint64{1, 2, 3, 4}, 3)
	f("a foreign file", left{"0000000001.seg": sealedOne, "notes.txt": []byte("x")}, []uint64{1, 2, 3}, 2)
	corrupt := bytes.Clone(whole)
	corrupt[event.HeaderSize+20] ^= 1
	f("open, bad middle", left{"0000000001.open": corrupt, "0000000002.open": segmentOf(2, false, false, 4)}, []uint64{4}, 2, "0000000001.bad")
	f("sealed, cut short", left{"0000000001.seg": sealedOne[:len(sealedOne)-1]}, nil, 1, "0000000001.bad")
	f("sealed, of another process", left{"0000000001.seg": bytes.Replace(sealedOne, sealedOne[8:24], make([]byte, 16), 1)}, nil, 1, "0000000001.bad")
	f("sealed, under another name", left{"0000000002.seg": sealedOne}, nil, 1, "0000000002.bad")
}

// numbersOf lists the events of process 1 in a bucket, whatever the sequences.
func numbersOf(t *testing.T, bucket *fakeBucket) (numbers []uint64, ends, objects int) {
	t.Helper()
	for seq := uint64(1); seq < 10; seq++ {
		b, ok := bucket.get(event.SegmentName(processID(1), seq))
		if !ok {
			continue
		}
		objects++
		r, err := event.NewReader(b, processID(1), seq)
		var rec event.Record
		for ok := err == nil; ok; {
			if ok, err = r.Next(&rec); ok && rec.Type == event.End {
				ends++
			} else if ok {
				numbers = append(numbers, rec.Landing.Reservation.Generation)
			}
		}
		if err != nil {
			t.Errorf("segment %d: %v", seq, err)
		}
	}
	return numbers, ends, objects
}

// TestMarkerGoesOn: after everything was shipped, END gets the next sequence,
// and the marker's log time.
func TestMarkerGoesOn(t *testing.T) {
	t.Parallel()
	d, bucket := newCrashDisk(), newFakeBucket()
	folder := "log/" + processID(1).String()
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	if err := d.MkdirAll(folder); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0000000006-5", fmt.Sprintf("0000000007-%d", at.UnixMicro())} {
		if _, err := d.Create(folder + "/" + name + shipped); err != nil {
			t.Fatal(err)
		}
	}
	closeAll(t, openOn(t, d, testConfig(processID(2), bucket)))
	r, err := event.NewReader(bucket.objects[event.SegmentName(processID(1), 8)], processID(1), 8)
	if err != nil {
		t.Fatal(err)
	}
	var rec event.Record
	if ok, err := r.Next(&rec); !ok || err != nil || rec.Type != event.End || !rec.At.Equal(at) {
		t.Errorf("%+v, %v", rec, err)
	}
}

func TestSecondStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	cfg := Config{Dir: dir, Process: processID(1), Bucket: newFakeBucket().open(), Now: time.Now}
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Process = processID(2)
	_, err = Open(cfg)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d process %s", os.Getpid(), processID(1))) {
		t.Errorf("second start: %v", err)
	}
	closeAll(t, l)
	l, err = Open(cfg)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	closeAll(t, l)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bucket := newFakeBucket().open()
	occupied := filepath.Join(dir, "file")
	if err := os.WriteFile(occupied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(name string, cfg Config) {
		t.Helper()
		if l, err := Open(cfg); err == nil {
			closeAll(t, l)
			t.Errorf("%s: opened", name)
		}
	}
	f("a file as folder", Config{Dir: occupied, Process: processID(1), Bucket: bucket, Now: time.Now})
	f("no bucket", Config{Dir: dir, Process: processID(1), Now: time.Now})
	f("no clock", Config{Dir: dir, Process: processID(1), Bucket: bucket})
	f("no process", Config{Dir: dir, Bucket: bucket, Now: time.Now})
	f("no folder", Config{Process: processID(1), Bucket: bucket, Now: time.Now})
	if err := os.Mkdir(filepath.Join(dir, processID(1).String()), 0o700); err != nil {
		t.Fatal(err)
	}
	f("a process id used before", Config{Dir: dir, Process: processID(1), Bucket: bucket, Now: time.Now})
}
