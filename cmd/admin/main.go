// Command admin serves the console and its REST API until SIGTERM.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/hayate-ads/hayate/admin"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

func main() {
	var config admin.Config
	kong.Parse(&config, kong.Name("admin"), kong.Description("Hayate's console and REST API. Settings come from the environment."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, config); err != nil {
		fmt.Fprintln(os.Stderr, "admin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, config admin.Config) error {
	level, err := telemetry.ParseLevel(os.Getenv("LOG_LEVEL"))
	if err != nil {
		return err
	}
	return admin.Run(ctx, config, telemetry.Logger(os.Stderr, "admin", version, level))
}
