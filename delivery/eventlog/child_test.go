package eventlog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hayate-ads/hayate/internal/event"
)

// childKey is set for a process that this test binary starts of itself; its
// value says what the child does.
const childKey = "HAYATE_EVENTLOG_CHILD"

func TestMain(m *testing.M) {
	var err error
	switch role, argument, _ := strings.Cut(os.Getenv(childKey), ":"); role {
	case "":
		os.Exit(m.Run())
	case "append":
		err = appendForever(argument)
	case "full":
		err = fillDisk(argument)
	default:
		err = errors.New("unknown role " + role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(ctx context.Context, role string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childKey+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// appendForever logs from many goroutines, and prints each number when it has
// been acknowledged. argument is the round and the folder.
func appendForever(argument string) error {
	number, dir, _ := strings.Cut(argument, ":")
	round, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	bucket, err := openFolder(filepath.Join(dir, "bucket"))
	if err != nil {
		return err
	}
	l, err := Open(Config{Dir: filepath.Join(dir, "log"), Process: processID(round), Bucket: bucket, Now: time.Now, RotateEvery: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	var next atomic.Uint64
	next.Store(uint64(round) * 1e9)
	failed := make(chan error)
	for range 16 {
		go func() {
			for {
				n := next.Add(1)
				if err := l.Append(impression(n)); err != nil {
					failed <- err
					return
				}
				_, _ = os.Stdout.WriteString(strconv.FormatUint(n, 10) + "\n")
			}
		}()
	}
	return <-failed
}

// TestKill ends a real process with SIGKILL, again and again on one folder:
// what it acknowledged reaches the bucket, once.
func TestKill(t *testing.T) {
	t.Parallel()
	const rounds = 20
	dir, known := t.TempDir(), newTally()
	for round := 1; round <= rounds; round++ {
		killRound(t, dir, round, known)
	}
	l, err := Open(Config{Dir: filepath.Join(dir, "log"), Process: processID(rounds + 1), Bucket: folderBucket(t, filepath.Join(dir, "bucket")), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, l)
	objects := objectsOf(t, filepath.Join(dir, "bucket"))
	acked := len(known.acked)
	for round := 1; round <= rounds; round++ {
		stream, err := streamOf(objects, processID(round))
		if err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		for _, rec := range stream {
			n := rec.Landing.Reservation.Generation
			if rec.Type == event.End {
				continue
			}
			if known.asked[n] {
				t.Fatalf("event %d is there twice", n)
			}
			known.asked[n] = true
			delete(known.acked, n)
		}
	}
	if len(known.acked) > 0 || acked == 0 || l.Stats().Quarantined > 0 {
		t.Errorf("%d of %d acknowledged events are lost, %d segments quarantined", len(known.acked), acked, l.Stats().Quarantined)
	}
	t.Logf("%d acknowledged, %d logged, %d kills", acked, len(known.asked), rounds)
}

// killRound lets a child log for some time after its first acknowledgement.
func killRound(t *testing.T, dir string, round int, known *tally) {
	t.Helper()
	cmd := child(t.Context(), fmt.Sprintf("append:%d:%s", round, dir))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a last line without its end was not said in full
		}
		n, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
		if err != nil {
			t.Error(err)
		}
		known.acked[n] = true
		once.Do(func() {
			time.AfterFunc(time.Duration(rand.IntN(80))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		})
	}
	_, _ = io.Copy(io.Discard, out)
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("round %d: the child ended by itself: %v", round, err)
	}
}
