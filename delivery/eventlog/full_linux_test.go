package eventlog

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestRealDiskFull fills a real file system of 8 MiB and empties it again, round
// after round, in a child process that may mount one; where it may not, the
// kernel's limit on file sizes stands in.
func TestRealDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := child(t.Context(), "full:mount:"+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.Output()
	if err != nil && !strings.Contains(string(out), "mounted") {
		cmd = child(t.Context(), "full:limit:"+dir)
		out, err = cmd.Output()
	}
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

const (
	smallDisk   = "8m"
	fullCallers = 128             // that log at the same time
	resumeIn    = 2 * time.Second // from when there is space to the next acknowledgement
)

// fullDisk is the child: a log on a small disk that something fills.
type fullDisk struct {
	dir    string
	log    *Log
	known  *tally
	number atomic.Uint64
}

// fillDisk is the child's side.
func fillDisk(argument string) error {
	how, dir, _ := strings.Cut(argument, ":")
	logs := filepath.Join(dir, "log")
	if err := os.MkdirAll(logs, 0o750); err != nil {
		return err
	}
	ballast := filepath.Join(logs, "ballast")
	rounds := []struct{ fill, free func() error }{{limitFiles, unlimitFiles}}
	f := &fullDisk{dir: dir, known: newTally()}
	if how == "mount" {
		if err := mountSmall(logs); err != nil {
			return err
		}
		fmt.Println("mounted a file system of 8 MiB")
		rounds[0].fill, rounds[0].free = func() error { return fillFile(ballast) }, func() error { return os.Remove(ballast) }
		rounds = append(rounds, struct{ fill, free func() error }{f.bucketAway, f.bucketBack}) // the log itself fills the disk
	}
	bucket, err := openFolder(filepath.Join(dir, "bucket"))
	if err != nil {
		return err
	}
	f.log, err = Open(Config{Dir: logs, Process: processID(1), Bucket: bucket, Now: time.Now, RotateEvery: 100 * time.Millisecond})
	if err != nil {
		return err
	}
	longest := time.Duration(0)
	n := fullSize(2, 8)
	for i := range n {
		took, err := f.round(rounds[i%len(rounds)].fill, rounds[i%len(rounds)].free)
		if err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
		longest = max(longest, took)
	}
	if err := shippedAll(f.log, filepath.Join(dir, "bucket"), f.known); err != nil {
		return err
	}
	fmt.Printf("figure eventlog.full_disk_rounds %d rounds\n", n)
	fmt.Printf("figure eventlog.full_disk_acknowledged %d events\n", len(f.known.acked))
	fmt.Printf("figure eventlog.full_disk_resume_seconds %.3f s\n", longest.Seconds())
	return nil
}

// round fills the disk while callers log, until all are refused, empties it, and
// says how long it took until one was acknowledged again.
func (f *fullDisk) round(fill, free func() error) (time.Duration, error) {
	if err := errors.Join(f.known.append(f.log, f.number.Add(1)), fill()); err != nil {
		return 0, err
	}
	var callers sync.WaitGroup
	for range fullCallers {
		callers.Go(func() {
			for f.log.Writable() == nil {
				_ = f.known.append(f.log, f.number.Add(1))
			}
		})
	}
	callers.Wait()
	if err := f.known.append(f.log, f.number.Add(1)); !errors.Is(err, ErrUnavailable) {
		return 0, fmt.Errorf("on a full disk: %w", err)
	}
	if err := free(); err != nil {
		return 0, err
	}
	begun := time.Now()
	for f.known.append(f.log, f.number.Add(1)) != nil {
		if time.Since(begun) > resumeIn {
			return 0, fmt.Errorf("%v after there is space: %w", resumeIn, f.log.Writable())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begun), nil
}

// bucketAway puts a file where the bucket's folder of events would be.
func (f *fullDisk) bucketAway() error {
	events := filepath.Join(f.dir, "bucket", "events")
	err := os.Rename(events, events+".away")
	if errors.Is(err, os.ErrNotExist) {
		err = os.Mkdir(events+".away", 0o750)
	}
	return errors.Join(err, os.WriteFile(events, nil, 0o600))
}

// bucketBack takes it away again, and returns when something has been shipped,
// that is when there is space.
func (f *fullDisk) bucketBack() error {
	events := filepath.Join(f.dir, "bucket", "events")
	if err := errors.Join(os.Remove(events), os.Rename(events+".away", events)); err != nil {
		return err
	}
	_, before := f.log.Backlog()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, now := f.log.Backlog(); now < before {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("nothing was shipped within ten seconds of the bucket's return")
		}
	}
}

func mountSmall(dir string) error {
	// Private first: the mount must not spread out of the child's namespace.
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Mount("none", dir, "tmpfs", 0, "size="+smallDisk)
}

func fillFile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}

func limitFiles() error {
	signal.Ignore(syscall.SIGXFSZ)
	return setFileLimit(func(r *syscall.Rlimit) { r.Cur = 0 })
}

func unlimitFiles() error { return setFileLimit(func(r *syscall.Rlimit) { r.Cur = r.Max }) }

func setFileLimit(change func(*syscall.Rlimit)) error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &r); err != nil {
		return err
	}
	change(&r)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &r)
}
