package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// openLog begins a new log and keeps the one before, so that a killed server's last words survive
// its restart and the folder does not grow without end.
func openLog(dir string) (*os.File, error) {
	path := filepath.Join(dir, "server.log")
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// errTryAgain marks failures that go away by themselves.
var errTryAgain = errors.New("")

// passing are the server's words for troubles that pass: a port taken between our look and its
// bind, and the backends of a killed predecessor that still hold its shared memory.
var passing = []string{"Address already in use", "shared memory block", "could not create any TCP/IP sockets"}

// retryable is errTryAgain when the log shows a passing trouble, else an error without words.
func retryable(dir string) error {
	log, _ := os.ReadFile(filepath.Join(dir, "server.log"))
	for _, words := range passing {
		if strings.Contains(string(log), words) {
			return errTryAgain
		}
	}
	return errors.New("")
}

// lastWords is the end of the server's log, for errors: without the time stamps' prefix lines that
// say nothing about a failure, at most five lines.
func lastWords(dir string) string {
	path := filepath.Join(dir, "server.log")
	log, err := os.ReadFile(path)
	if err != nil || len(log) == 0 {
		return ""
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
	return "; " + path + " ends with: " + strings.Join(told, " | ")
}
