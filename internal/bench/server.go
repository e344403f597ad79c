package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The server under test has core 0 for itself, the load comes from core 1.
const serverCore, loadCore = "0", "1"

// server is a process under measurement.
type server struct {
	cmd *exec.Cmd
	url string
	log string // file
}

// serve starts a program pinned to the server's core with GOMAXPROCS=1.
func (b *bench) serve(ctx context.Context, name, url string, env []string, program string, args ...string) (*server, error) {
	log, err := os.Create(filepath.Join(b.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", serverCore, program}, args...)...)
	cmd.Env = append(os.Environ(), append(env, "GOMAXPROCS=1")...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return &server{cmd: cmd, url: url, log: log.Name()}, nil
}

// stop ends the server and waits for it.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Wait()
}

// ready waits until the URL answers 200.
func (s *server) ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		response, err := http.Get(url)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(response.Status)
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(s.log)
			return fmt.Errorf("%s: %w; it printed:\n%s", url, err, text)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// cpu is the processor time that the server has used, from /proc.
func (s *server) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name in parentheses, which may hold spaces;
	// utime and stime are the 12th and 13th after it (proc(5)).
	_, after, found := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	if !found || len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: unexpected form", s.cmd.Process.Pid)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
