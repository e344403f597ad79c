package refresh

import (
	"os"
	"runtime"
)

// quietly runs work beside requests, and out of their way: on a thread of its
// own, to which the system gives what requests leave over, and with a processor
// of the runtime's in addition, since the others would have to wait for the one
// that such a thread holds. Both matter most where there is one processor, on
// which work would keep requests waiting for its time slices of 10 ms.
//
// Work is one goroutine: what it starts, and the collector's share of cleaning up
// after it, run as urgently as requests do.
func quietly(work func() error) error {
	more := moreProcessors()
	defer more()
	done := make(chan error)
	go func() {
		// Never unlocked, so the thread ends with the goroutine: only root could
		// raise its priority again.
		runtime.LockOSThread()
		lowerPriority()
		done <- work()
	}()
	return <-done
}

// moreProcessors adds one, and returns what takes it back.
func moreProcessors() (less func()) {
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(before + 1)
	return func() {
		if os.Getenv("GOMAXPROCS") == "" {
			runtime.SetDefaultGOMAXPROCS() // follows the container's limit again
			return
		}
		runtime.GOMAXPROCS(before)
	}
}
