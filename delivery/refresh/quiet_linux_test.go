package refresh

import (
	"errors"
	"runtime"
	"syscall"
	"testing"
)

// TestQuietly: the work's thread steps back, nobody else's does, and all is as
// before afterwards.
func TestQuietly(t *testing.T) {
	// getpriority answers 20 less the niceness.
	own := func() int {
		n, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
		if err != nil {
			t.Error(err)
		}
		return 20 - n
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, processors := own(), runtime.GOMAXPROCS(0)
	failure := errors.New("as it is")
	err := quietly(func() error {
		if n := own(); n != niceness {
			t.Errorf("niceness %d at work, want %d", n, niceness)
		}
		if n := runtime.GOMAXPROCS(0); n != processors+1 {
			t.Errorf("%d processors at work, %d before", n, processors)
		}
		return failure
	})
	if err != failure {
		t.Errorf("error %v, want what work returned", err)
	}
	if n := own(); n != before {
		t.Errorf("niceness %d afterwards, %d before", n, before)
	}
	if n := runtime.GOMAXPROCS(0); n != processors {
		t.Errorf("%d processors afterwards, %d before", n, processors)
	}
}
