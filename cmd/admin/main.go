// Command admin serves the console and its REST API.
//
//	admin          serve until SIGTERM
//	admin version  print the version
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

type commands struct {
	Config  admin.Config `embed:""`
	Serve   struct{}     `cmd:"" default:"1" help:"Answer requests until SIGTERM."`
	Version struct{}     `cmd:"" help:"Print the version."`
}

func main() {
	var cli commands
	parsed := kong.Parse(&cli, kong.Name("admin"), kong.Description("Hayate's console and REST API. Settings come from the environment."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, parsed.Command(), cli.Config); err != nil {
		fmt.Fprintln(os.Stderr, "admin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string, config admin.Config) error {
	if command == "version" {
		fmt.Println(version)
		return nil
	}
	level, err := telemetry.ParseLevel(os.Getenv("LOG_LEVEL"))
	if err != nil {
		return err
	}
	return admin.Run(ctx, config, telemetry.Logger(os.Stderr, "admin", version, level))
}
