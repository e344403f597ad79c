package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/postgres/cluster"
)

// ownerVariable makes this test binary an owner of a cluster that the tests can kill.
const ownerVariable = "HAYATE_TEST_OWNER_OF"

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerVariable); dir != "" {
		ownCluster(dir)
	}
	os.Exit(m.Run())
}

// ownCluster starts a cluster, says so and waits for its own death.
func ownCluster(dir string) {
	c, err := cluster.Start(context.Background(), cluster.Config{Dir: dir, Ephemeral: strings.HasSuffix(dir, "ephemeral")})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(c.Pid())
	select {}
}

func start(t *testing.T, config cluster.Config) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

func exec1(t *testing.T, c *cluster.Cluster, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, c *cluster.Cluster) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM kept").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually polls for what another process does in its own time.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestSecondStartFindsTheData(t *testing.T) {
	t.Parallel()
	config := cluster.Config{Dir: t.TempDir()}
	c := start(t, config)
	exec1(t, c, "CREATE TABLE kept AS SELECT generate_series(1, 3)")
	for range 2 {
		if err := c.Stop(t.Context()); err != nil {
			t.Fatalf("stop: %v", err)
		}
	}
	if !gone(c.Pid()) {
		t.Error("the server runs after Stop")
	}
	if n := count(t, start(t, config)); n != 3 {
		t.Errorf("%d rows after the second start, want 3", n)
	}
}

// A killed postmaster leaves its pid file, its socket, its shared memory and, for a moment, its
// backends behind.
func TestStartsAfterKill(t *testing.T) {
	t.Parallel()
	config := cluster.Config{Dir: t.TempDir(), Durable: true, Port: cluster.FreePort}
	c := start(t, config)
	exec1(t, c, "CREATE TABLE kept AS SELECT generate_series(1, 3)")
	keepABackendBusy(t, c)
	if err := syscall.Kill(c.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.Exited()
	if err := c.Stop(t.Context()); err != nil {
		t.Fatalf("stop of a dead server: %v", err)
	}
	if n := count(t, start(t, config)); n != 3 {
		t.Errorf("%d rows after the kill, want 3", n)
	}
}

// keepABackendBusy occupies a backend that does not notice the death of its postmaster for a second.
func keepABackendBusy(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	busy, err := pgx.Connect(t.Context(), c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = busy.Exec(context.Background(), `DO $$ BEGIN
			WHILE clock_timestamp() < now() + interval '1.5 seconds' LOOP END LOOP;
		END $$`)
	}()
	t.Cleanup(func() { <-ended; _ = busy.Close(context.Background()) })
	watcher, err := pgx.Connect(t.Context(), c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watcher.Close(context.Background()) })
	eventually(t, "the backend is busy", func() bool {
		var n int
		err := watcher.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO%'").Scan(&n)
		return err == nil && n == 1
	})
}

// The pid file of a killed server may name a process that has nothing to do with it.
func TestStartsWhenThePidIsAnothers(t *testing.T) {
	t.Parallel()
	config := cluster.Config{Dir: t.TempDir()}
	c := start(t, config)
	pidFile := filepath.Join(config.Dir, "data", "postmaster.pid")
	content, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "\n")
	// A process of the server's own user: about others Postgres does not ask.
	sleeper := exec.Command("sleep", "60")
	sleeper.SysProcAttr = &syscall.SysProcAttr{Credential: ownerOf(t, filepath.Dir(pidFile))}
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() }()
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(sleeper.Process.Pid)+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, config)
	if gone(sleeper.Process.Pid) {
		t.Error("a stranger was killed")
	}
}

func ownerOf(t *testing.T, path string) *syscall.Credential {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	// Only root may set groups, and only root has to.
	return &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid, NoSetGroups: os.Geteuid() != 0}
}

func TestOneOwnerAtATime(t *testing.T) {
	t.Parallel()
	config := cluster.Config{Dir: t.TempDir()}
	c := start(t, config)
	_, err := cluster.Start(t.Context(), config)
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("second start: %v; want an error that names the owner, pid %d", err, os.Getpid())
	}
	exec1(t, c, "SELECT 1") // the first one never noticed
}

func TestServerEndsWithItsOwner(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"lasting", "ephemeral"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), name)
			owner := exec.Command(os.Args[0])
			owner.Env = append(os.Environ(), ownerVariable+"="+dir)
			output, err := owner.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := owner.Start(); err != nil {
				t.Fatal(err)
			}
			line, _ := bufio.NewReader(output).ReadString('\n')
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatalf("the owner says %q", line)
			}
			if err := owner.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = owner.Wait()
			if name == "ephemeral" {
				eventually(t, "the folder is removed", func() bool {
					_, err := os.Stat(dir)
					return errors.Is(err, fs.ErrNotExist)
				})
				return
			}
			start(t, cluster.Config{Dir: dir}) // at once: the predecessor may still be stopping
			eventually(t, "the first server ends", func() bool { return gone(pid) })
		})
	}
}

// Root's server runs as nobody, even where nobody could not walk: root's home is closed to others.
func TestRunsUnprivilegedUnderAClosedFolder(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(closed, "state")
	c := start(t, cluster.Config{Dir: state})
	pidFile, err := os.Stat(filepath.Join(state, "data", "postmaster.pid")) // the server's own work
	if err != nil {
		t.Fatal(err)
	}
	if pidFile.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Error("the server runs as root")
	}
	exec1(t, c, "CREATE TABLE kept ()")
}

func TestTCPAsksForThePassword(t *testing.T) {
	t.Parallel()
	config := cluster.Config{Dir: t.TempDir(), Port: cluster.FreePort}
	c := start(t, config)
	exec1(t, c, "SELECT 1")
	address, err := url.Parse(c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword(cluster.User, "wrong")
	if conn, err := pgx.Connect(t.Context(), address.String()); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the server takes a wrong password")
	}
	info, err := os.Stat(filepath.Join(config.Dir, "password"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("password file: %v, %v; want mode 0600", info, err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	config.Port, err = strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	again := start(t, config)
	if again.URL("postgres") != c.URL("postgres") {
		t.Error("the address changed between two starts on one port")
	}
	exec1(t, again, "SELECT 1")
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	taken := start(t, cluster.Config{Dir: t.TempDir(), Port: cluster.FreePort})
	address, err := url.Parse(taken.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(config cluster.Config, want string) {
		t.Helper()
		if config.Dir == "" {
			config.Dir = t.TempDir()
		}
		c, err := cluster.Start(t.Context(), config)
		if err == nil {
			_ = c.Stop(t.Context())
			t.Errorf("%+v started; want an error with %q", config, want)
			return
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error is %q; want one line with %q", err, want)
		}
	}
	f(cluster.Config{BinDir: t.TempDir()}, "initdb")
	f(cluster.Config{Port: port}, "port "+address.Port()+" is not free")
	f(cluster.Config{Dir: file}, "file")
	f(cluster.Config{Settings: map[string]string{"shared_buffers": "much"}}, `invalid value for parameter "shared_buffers"`)
	f(cluster.Config{Settings: map[string]string{"no_such_setting": "1"}}, "no_such_setting")
}

func TestStopKillsWhenOutOfTime(t *testing.T) {
	t.Parallel()
	c, err := cluster.Start(t.Context(), cluster.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Stop(ctx); !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("stop out of time: %v; want the context's error", err)
	}
	if !gone(c.Pid()) {
		t.Error("the server runs after Stop")
	}
}
