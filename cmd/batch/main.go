// Command batch runs the jobs.
//
//	batch run publish   once, as a CronJob does
//	batch run settle    follow the events for FOLLOW_FOR; likewise lake, rollup, reconcile, retain
//	batch schedule      every job at its time, for a single machine
//	batch migrate       bring the database to this version's schema
//	batch reconcile     compare a day's books with the event log
//	batch rebuild       make the books anew from the log, after a restore from a backup
//	batch settle        go on with a stream that stands at a damaged segment
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/hayate-ads/hayate/batch"
	"github.com/hayate-ads/hayate/internal/telemetry"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

type commands struct {
	Config batch.Config `embed:""`
	Run    struct {
		Job string `arg:"" help:"Name of the job: publish, settle, lake, rollup, reconcile or retain."`
	} `cmd:"" help:"Run one job once."`
	Settle    batch.SettleCommand    `cmd:"" help:"Go on with a stream that stands still: --skip its segment, with --why, or --resume when it was repaired."`
	Reconcile batch.ReconcileCommand `cmd:"" help:"Compare the books of a --day, or of all days that are due, with the event log."`
	Rebuild   struct{}               `cmd:"" help:"Make the books anew from the event log, in a database that was restored from an older copy. May be killed and repeated."`
	Schedule  struct{}               `cmd:"" help:"Run every job at its time until SIGTERM."`
	Migrate   struct{}               `cmd:"" help:"Bring the database to this version's schema."`
	Version   struct{}               `cmd:"" help:"Print the version."`
}

func main() {
	var cli commands
	parsed := kong.Parse(&cli, kong.Name("batch"), kong.Description("Hayate's jobs. Settings come from the environment."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, parsed.Command(), cli); err != nil {
		fmt.Fprintln(os.Stderr, "batch:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string, cli commands) error {
	level, err := telemetry.ParseLevel(os.Getenv("LOG_LEVEL"))
	if err != nil {
		return err
	}
	log := telemetry.Logger(os.Stderr, "batch", version, level)
	cli.Config.Version = version
	switch command {
	case "schedule":
		return batch.Schedule(ctx, cli.Config, log)
	case "migrate":
		return batch.Migrate(ctx, cli.Config, log)
	case "settle":
		message, err := batch.Settle(ctx, cli.Config, cli.Settle, log)
		if err == nil {
			fmt.Println(message)
		}
		return err
	case "reconcile":
		return batch.Reconcile(ctx, cli.Config, cli.Reconcile, log)
	case "rebuild":
		message, err := batch.Rebuild(ctx, cli.Config, log)
		fmt.Print(message)
		return err
	case "version":
		fmt.Println(version)
		return nil
	default:
		return batch.RunJob(ctx, cli.Config, cli.Run.Job, log)
	}
}
