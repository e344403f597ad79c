package cluster

import (
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"syscall"
)

// watchdogDismissal tells the watchdog that the server has been stopped in the ordinary way.
const watchdogDismissal = "dismissed\n"

// watchdogScript waits for the end of its input, which comes when this process has ended, even by
// SIGKILL; then it stops the server and removes what was not meant to last. It watches the pid file
// and not the process, whose number could be taken by another, or whose parent may not reap it.
//
//	$1 the server's process id, $2 its pid file, $3... folders to remove
//
// The pid file may name a successor by then, which is left alone.
const watchdogScript = `
read -r word
[ "$word" = dismissed ] && exit 0
kill -INT "$1" 2>/dev/null
pidfile=$2
server=$1
shift 2
tries=0
while read -r now <"$pidfile" && [ "$now" = "$server" ] && [ "$tries" -lt 200 ]; do
	tries=$((tries + 1))
	[ "$tries" -eq 100 ] && kill -QUIT "$server" 2>/dev/null
	sleep 0.05
done 2>/dev/null
[ "$#" -eq 0 ] || rm -rf -- "$@"
`

// watch starts the watchdog. It has its own process group, so that a Ctrl-C or a kill of this
// process's group passes it by.
func watch(c *Cluster) (io.WriteCloser, error) {
	var folders []string
	if c.config.Ephemeral { // else the socket's folder may have become the successor's
		folders = []string{c.socket, c.config.Dir}
	}
	arguments := []string{"-c", watchdogScript, "hayate-postgres-watchdog", strconv.Itoa(c.Pid()), c.dataDir() + "/postmaster.pid"}
	command := exec.Command("/bin/sh", append(arguments, folders...)...)
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	go func() { _ = command.Wait() }() // reaps it
	return input, nil
}
