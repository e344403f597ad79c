package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// socketPort names the socket of a server without a TCP port; it is Postgres's default.
const socketPort = 5432

// choosePort settles the port before each attempt, so that a free port lost to another process is
// replaced by another one.
func (c *Cluster) choosePort() error {
	switch c.config.Port {
	case 0:
		c.port = socketPort
		return nil
	case FreePort:
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		c.port = listener.Addr().(*net.TCPAddr).Port
		return listener.Close()
	}
	// Asked before the server is: its own complaint is longer, and comes after a second or more.
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.config.Port)))
	if err != nil {
		return fmt.Errorf("port %d is not free: %w", c.config.Port, err)
	}
	c.port = c.config.Port
	return listener.Close()
}

// arguments is the server's command line. The last of two equal settings wins, so those of the
// caller come last.
func (c *Cluster) arguments() []string {
	settings := []string{
		"listen_addresses=" + c.listenAddresses(),
		"port=" + strconv.Itoa(c.port),
		"unix_socket_directories=" + c.socket,
		"timezone=UTC",
		"log_timezone=UTC",
		"logging_collector=off",
		"log_destination=stderr",
		"cluster_name=hayate",
	}
	if !c.config.Durable {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	for _, name := range slices.Sorted(maps.Keys(c.config.Settings)) {
		settings = append(settings, name+"="+c.config.Settings[name])
	}
	arguments := []string{"-D", c.dataDir()}
	for _, setting := range settings {
		arguments = append(arguments, "-c", setting)
	}
	return arguments
}

func (c *Cluster) listenAddresses() string {
	if c.config.Port == 0 {
		return ""
	}
	return "127.0.0.1"
}

// serverEnvironment keeps the caller's locale, PG* variables and secrets out of the server.
func serverEnvironment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "HOME=/"}
}

func connect(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}

// setPassword gives the superuser the password kept in Dir, made at the first start that needs one.
// The socket asks for none: its folder is closed to other users, and so is never out of step with it.
func (c *Cluster) setPassword(ctx context.Context) (string, error) {
	path := filepath.Join(c.config.Dir, "password")
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		content = []byte(rand.Text())
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		return "", err
	}
	password := strings.TrimSpace(string(content))
	conn, err := connect(ctx, c.socketURL("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	// ALTER ROLE takes no parameters.
	_, err = conn.Exec(ctx, "ALTER ROLE "+User+" PASSWORD '"+strings.ReplaceAll(password, "'", "''")+"'")
	return password, err
}
