// Command delivery answers publishers and exchanges with ads.
//
//	delivery          serve until SIGTERM
//	delivery fetch    bring the newest snapshot into STATE_DIR once, as an init container does
//	delivery version  print the version
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/hayate-ads/hayate/delivery"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

type commands struct {
	Config  delivery.Config `embed:""`
	Serve   struct{}        `cmd:"" default:"1" help:"Answer requests until SIGTERM."`
	Fetch   struct{}        `cmd:"" help:"Bring the newest snapshot into STATE_DIR and exit."`
	Version struct{}        `cmd:"" help:"Print the version."`
}

func main() {
	var cli commands
	parsed := kong.Parse(&cli, kong.Name("delivery"), kong.Description("Hayate's ad server. Settings come from the environment."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, parsed.Command(), cli.Config); err != nil {
		fmt.Fprintln(os.Stderr, "delivery:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string, config delivery.Config) error {
	config.Version = version
	level, err := telemetry.ParseLevel(os.Getenv("LOG_LEVEL"))
	if err != nil {
		return err
	}
	log := telemetry.Logger(os.Stderr, "delivery", version, level)
	switch command {
	case "fetch":
		return delivery.Fetch(ctx, config, log)
	case "version":
		fmt.Println(version)
		return nil
	default:
		return delivery.Run(ctx, config, log)
	}
}
