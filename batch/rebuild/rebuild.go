// Package rebuild makes the books anew from the event log, in a database that was
// restored from an older copy (design §5.2).
//
// The bucket then holds segments that the database has not settled, or has
// forgotten that it had. They are applied in two phases, because a lease lives on
// money that earlier leases gave back: first the leases come back with what OPEN
// granted and CLOSE left them, as far as the accounts have room for what their
// events need; then all events are settled in the ordinary way. Nothing else is
// granted or settled meanwhile, and no watermark or clock gives money back before
// all is applied.
//
// A rebuild that was killed is run again: the first phase is one transaction, and
// the second settles every segment once.
package rebuild

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/batch/settle"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// A Rebuilder is made as a literal.
type Rebuilder struct {
	DB     *postgres.DB
	Bucket *blob.Bucket
	Bank   postgres.BankConfig // as settle has it; a LeaseTTL of 0 is 30 minutes
	Log    *slog.Logger

	step func(name string) // called between steps, by tests that end the rebuild there; may be nil
}

// Summary says what a rebuild did.
type Summary struct {
	Streams  int
	Segments int64
	Records  int64
	Leases   int // that the database did not know of
	Charged  money.Micros
	Overage  money.Micros
	Clipped  []Clip                  // accounts without room for what the log granted
	Orphans  []postgres.RebuiltLease // leases of line items that the database does not know: all they did is overage
	Doubtful []Doubt                 // events that may be charged now and were overage then, or the other way round
	Doubts   int64                   // how many there are; Doubtful names the first ones
}

// Clip is what the leases of a line item were granted for a day, and what the
// accounts of the restored database had room for.
type Clip struct {
	LineItem ad.ID
	Day      string // of the advertiser's time zone
	Leases   int
	Wanted   money.Micros
	Got      money.Micros
}

const (
	lockEvery   = 500 * time.Millisecond
	standardTTL = 30 * time.Minute
	// mostRounds bounds how often leases that turn up while events are applied are
	// brought in: processes may go on shipping what they opened before the halt.
	mostRounds = 10
)

// Run rebuilds, and tells what it did also in words.
func (x *Rebuilder) Run(ctx context.Context) (Summary, error) {
	if x.Bank.LeaseTTL <= 0 {
		x.Bank.LeaseTTL = standardTTL
	}
	settler, err := x.DB.Settler(ctx)
	if err != nil {
		return Summary{}, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = settler.Close(closing) // the server notices a session that went without a word
	}()
	if err := x.lock(ctx, settler); err != nil {
		return Summary{}, err
	}
	if err := settler.BeginRebuild(ctx); err != nil {
		return Summary{}, err
	}
	var sum Summary
	for round := 1; ; round++ {
		again, err := x.round(ctx, settler, &sum)
		if err != nil {
			return sum, fmt.Errorf("rebuild, which has to be run again: %w", err)
		}
		if !again {
			return sum, nil
		}
		if round == mostRounds {
			return sum, errors.New("rebuild, which has to be run again: processes go on opening leases that the database does not know; stop them first")
		}
	}
}

// lock waits until no settler is at work; one that meets the halt ends by itself.
func (x *Rebuilder) lock(ctx context.Context, settler *postgres.Settler) error {
	for said := false; ; said = true {
		err := settler.Lock(ctx)
		if !errors.Is(err, postgres.ErrSettlerLocked) {
			return err
		}
		if !said {
			x.Log.Info("rebuild waits for the settler to end: suspend the job settle, or stop batch schedule")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockEvery):
		}
	}
}

// round brings the leases in and then settles; again means that leases turned up
// meanwhile.
func (x *Rebuilder) round(ctx context.Context, settler *postgres.Settler, sum *Summary) (again bool, err error) {
	x.at("begun")
	h, err := x.read(ctx, settler)
	if err != nil {
		return false, err
	}
	sum.Streams = max(sum.Streams, h.streams)
	x.at("read")
	if err := x.bring(ctx, settler, h, sum); err != nil {
		return false, err
	}
	x.at("leases")
	h.tell(sum)
	_, err = settle.Replay(ctx, settle.Config{
		DB: x.DB, Bucket: x.Bucket, Bank: x.Bank, Log: x.Log,
		Observe: func(s settle.Stats) {
			sum.Segments += s.Segments
			sum.Records += s.Records
			sum.Charged += s.Charged
			sum.Overage += s.Overage
			x.at("batch")
		},
	}, settler)
	switch {
	case errors.Is(err, postgres.ErrRebuild):
		return true, nil
	case err != nil:
		return false, err
	}
	x.at("settled")
	return false, settler.EndRebuild(ctx, h.highest)
}

func (x *Rebuilder) at(step string) {
	if x.step != nil {
		x.step(step)
	}
}

// shown bounds the lines of one kind in a summary.
const shown = 50

// String is the summary for whoever ran the command.
func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rebuilt: %d streams, %d segments, %d records; %d leases that the database did not know of; %s charged, %s overage\n",
		s.Streams, s.Segments, s.Records, s.Leases, s.Charged, s.Overage)
	fmt.Fprintf(&b, "accounts without room for what was granted: %d\n", len(s.Clipped))
	for i, c := range s.Clipped {
		if i == shown {
			fmt.Fprintln(&b, "  …")
			break
		}
		fmt.Fprintf(&b, "  line item %d, day %s: %d leases wanted %s, got %s; the rest is overage\n", c.LineItem, c.Day, c.Leases, c.Wanted, c.Got)
	}
	fmt.Fprintf(&b, "leases of line items that are not in the database: %d\n", len(s.Orphans))
	for i, l := range s.Orphans {
		if i == shown {
			fmt.Fprintln(&b, "  …")
			break
		}
		fmt.Fprintf(&b, "  line item %d: lease %s of process %s, %s; its events are overage\n", l.LineItem, l.ID, l.Process, l.Clipped)
	}
	fmt.Fprintf(&b, "events that may have moved between charge and overage: %d\n", s.Doubts)
	for i, d := range s.Doubtful {
		if i == shown {
			fmt.Fprintln(&b, "  …")
			break
		}
		fmt.Fprintf(&b, "  %s\n", d)
	}
	return b.String()
}
