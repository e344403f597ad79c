package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

const logName = "server.log"

// keepLastLog puts the log of the run before aside: a killed server's last words survive its restart
// and the folder does not grow without end.
func keepLastLog(dir string) error {
	path := filepath.Join(dir, logName)
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// openLog begins the log of one attempt to start.
func openLog(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, logName), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
}

// passing are the server's words for troubles that go away by themselves: a port taken between our
// look and its bind, and the backends of a killed predecessor that still hold its shared memory.
var passing = []string{"could not create any TCP/IP sockets", "shared memory block"}

// willPass tells whether another attempt to start may succeed.
func willPass(dir string) bool {
	log, _ := os.ReadFile(filepath.Join(dir, logName))
	for _, words := range passing {
		if strings.Contains(string(log), words) {
			return true
		}
	}
	return false
}

// lastWords is the end of the server's log for an error: at most five lines, without the ones that
// only tell what it did.
func lastWords(dir string) string {
	path := filepath.Join(dir, logName)
	log, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	var told []string
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, " LOG: ") {
			told = append(told, strings.TrimSpace(line))
		}
	}
	if len(told) > 5 {
		told = told[len(told)-5:]
	}
	return path + " ends with: " + strings.Join(told, " | ")
}
