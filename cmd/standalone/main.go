// Command standalone is all of Hayate in one process on one machine, with demo
// data: a private Postgres, a bucket in a folder, delivery, the console, the
// jobs, and a publisher's page with live ads. `make run` starts it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

// Config says where the demo lives. Every field is an environment variable too.
type Config struct {
	StateDir    string  `env:"STATE_DIR" default:"var" help:"Folder of everything that lasts: the database, the bucket, keys, logs of events."`
	Listen      string  `env:"LISTEN" default:"127.0.0.1:8080" help:"Delivery's public port."`
	OpsListen   string  `env:"OPS_LISTEN" default:"127.0.0.1:8081" help:"Delivery's ops port."`
	DemoListen  string  `env:"DEMO_LISTEN" default:"127.0.0.1:8082" help:"The demo publisher's page."`
	AdminListen string  `env:"ADMIN_LISTEN" default:"127.0.0.1:8090" help:"The console."`
	Traffic     float64 `env:"TRAFFIC" default:"0" help:"Demo visitors a second, so that the charts move; 0: none."`
	Verbose     bool    `help:"Log to the terminal instead of STATE_DIR/standalone.log."`
}

func main() {
	var config Config
	kong.Parse(&config, kong.Name("standalone"), kong.Description("All of Hayate on one machine, with demo data."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, config); err != nil {
		fmt.Fprintln(os.Stderr, "standalone:", err)
		os.Exit(1)
	}
}
