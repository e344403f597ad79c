// Command loadgen sends visitors to a delivery server: an open model, for trying
// an installation out.
//
//	loadgen --url http://127.0.0.1:8080 --placement 1 --rate 200 --for 30s
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/hayate-ads/hayate/internal/traffic"
)

// Config says what to send where.
type Config struct {
	URL        string        `default:"http://127.0.0.1:8080" help:"Delivery's public port."`
	Placement  []string      `required:"" help:"Placement ids; one is drawn for each visit."`
	Rate       float64       `default:"50" help:"Visits a second."`
	For        time.Duration `default:"10s" help:"How long; 0: until Ctrl-C."`
	Workers    int           `default:"32" help:"Visits under way at once."`
	SeenShare  float64       `default:"0.8" help:"Share of filled decisions that become impressions."`
	ClickShare float64       `default:"0.02" help:"Share of impressions that are clicked."`
	BuyShare   float64       `default:"0.1" help:"Share of clicks that are followed by a conversion, if the landing URL has hy={conversion}."`
}

func main() {
	var config Config
	kong.Parse(&config, kong.Name("loadgen"), kong.Description("Visitors for a delivery server."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, config); err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, config Config) error {
	if config.Rate <= 0 || config.Workers < 1 {
		return fmt.Errorf("--rate has to be above 0 and --workers at least 1")
	}
	visitors := traffic.Visitors{
		DeliveryURL: config.URL, Placements: config.Placement, SeenShare: config.SeenShare, ClickShare: config.ClickShare,
		BuyShare: config.BuyShare, Client: traffic.NewClient(config.Workers),
	}
	var visits, filled, seen, clicked, bought, failed atomic.Int64
	var last atomic.Pointer[error]
	add := func(n *atomic.Int64, yes bool) {
		if yes {
			n.Add(1)
		}
	}
	traffic.Pace{Rate: config.Rate, Workers: config.Workers, For: config.For}.Run(ctx, func(ctx context.Context, _ time.Time) {
		outcome, err := visitors.Visit(ctx)
		visits.Add(1)
		add(&filled, outcome.Filled)
		add(&seen, outcome.Seen)
		add(&clicked, outcome.Clicked)
		add(&bought, outcome.Bought)
		if err != nil && ctx.Err() == nil {
			failed.Add(1)
			last.Store(&err)
		}
	})
	fmt.Printf("%d visits, %d filled, %d seen, %d clicked, %d bought, %d failed\n", visits.Load(), filled.Load(), seen.Load(), clicked.Load(), bought.Load(), failed.Load())
	if err := last.Load(); err != nil {
		return fmt.Errorf("the last failure: %w", *err)
	}
	return nil
}
