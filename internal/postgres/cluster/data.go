package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// hostRules is pg_hba.conf. The socket lies in a folder closed to other users; loopback is open to
// every user of the machine, so it asks for the password.
const hostRules = `# Written at every start by internal/postgres/cluster.
local all all trust
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
`

// prepareData makes the data directory unless there is a whole one. initdb works in a folder beside
// it that is renamed when done, so that a start cut short leaves nothing half made.
func prepareData(ctx context.Context, bin string, config Config, owner account) error {
	data := filepath.Join(config.Dir, "data")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); errors.Is(err, os.ErrNotExist) {
		if err := initialise(ctx, bin, config, owner); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	rules := filepath.Join(data, "pg_hba.conf")
	if err := os.WriteFile(rules, []byte(hostRules), 0o600); err != nil {
		return err
	}
	return owner.give(rules)
}

func initialise(ctx context.Context, bin string, config Config, owner account) error {
	fresh, data := filepath.Join(config.Dir, "data.new"), filepath.Join(config.Dir, "data")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	if err := owner.give(fresh); err != nil {
		return err
	}
	arguments := []string{"-D", fresh, "-U", User, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-instructions"}
	if !config.Durable {
		// Small segments: a third less to write for a cluster that lives for one run of the tests.
		arguments = append(arguments, "--no-sync", "--wal-segsize=1")
	}
	command := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), arguments...)
	command.Dir = "/"
	command.Env = serverEnvironment()
	command.SysProcAttr = owner.attributes(fresh)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return os.Rename(fresh, data)
}

// lockDir makes sure that one process at a time uses the folder. The lock goes with the process, so
// it is never stale.
func lockDir(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(lock.Name())
		_ = lock.Close()
		return nil, fmt.Errorf("another process (pid %s) uses this folder; stop it first", strings.TrimSpace(string(holder)))
	}
	err = lock.Truncate(0)
	if err == nil {
		_, err = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// endPredecessor deals with the postmaster.pid of a server whose owner is gone, which is certain as
// this process holds the lock. Postgres takes away a stale file itself, but not when the number
// belongs to some other process by now, as it soon does in containers.
func endPredecessor(ctx context.Context, data string) error {
	path := filepath.Join(data, "postmaster.pid")
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 || !servesData(pid, data) {
		return os.Remove(path)
	}
	_ = syscall.Kill(pid, syscall.SIGINT)
	for servesData(pid, data) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("an older server (pid %d) still runs there and does not stop: %w", pid, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// servesData tells whether process pid is a server that runs on this data directory: its command
// line, which unlike its working directory every user may read, has the path.
func servesData(pid int, data string) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return false
	}
	commandLine, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil { // no /proc on this system, or ended just now
		commandLine, _ = exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	}
	return strings.Contains(string(commandLine), data)
}

// maxSocketDir keeps folder and file name within the about 100 bytes of a unix socket's address.
const maxSocketDir = 80

// socketDir makes the folder of the unix socket. Its name follows from the cluster's, so that URLs
// stay the same from start to start and a killed process leaves one folder, not one for each run.
func socketDir(dir string, owner account) (string, error) {
	sum := sha256.Sum256([]byte(strconv.Itoa(os.Geteuid()) + dir))
	base := os.TempDir()
	if len(base) > maxSocketDir-24 {
		base = "/tmp"
	}
	path := filepath.Join(base, "hayate-"+hex.EncodeToString(sum[:6]))
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	if err := owner.owns(path); err != nil {
		return "", fmt.Errorf("folder for the socket: %w", err)
	}
	return path, owner.give(path)
}
