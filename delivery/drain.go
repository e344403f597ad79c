package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How long each step of a drain may take; the sum and DRAIN stay below the
// grace of 60 s that a cluster gives.
const (
	requestsPatience = 5 * time.Second
	bankPatience     = 5 * time.Second
	logPatience      = 25 * time.Second
)

// announce tells everybody that the process will go, and serves on for
// cfg.Drain. Everything is answered as before, but with Connection: close and not
// ready: balancers notice late, and a connection that is kept open would
// otherwise be cut in the middle of its next request.
func (p *process) announce() {
	p.server.draining.Store(true)
	p.log.Info("drain begins", "accepting_for", p.cfg.Drain.String())
	time.Sleep(p.cfg.Drain)
}

// drain ends the process in the order in which its parts feed one another:
// requests first, then what they reserved from, at last the log, which the
// others still write into. It goes on after a step that fails.
func (p *process) drain(stop context.CancelFunc, running *sync.WaitGroup) error {
	started := time.Now()
	requests := p.step("requests are answered", requestsPatience, p.web.ShutdownWithContext)
	stop()
	running.Wait()
	counts := p.flush(p.bank.Now(), true)
	leases := p.step("leases are closed", bankPatience, p.bank.Close)
	events := p.step("events are shipped", logPatience, p.events.Close)
	p.log.Info("drain ends", "took", time.Since(started).Round(time.Millisecond).String())
	return errors.Join(requests, counts, leases, events)
}

// step runs one step of the drain and logs how long it took.
func (p *process) step(what string, patience time.Duration, run func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	started := time.Now()
	if err := run(ctx); err != nil {
		return fmt.Errorf("drain: before %s: %w", what, err)
	}
	p.log.Info("drain: "+what, "took", time.Since(started).Round(time.Millisecond).String())
	return nil
}

// release closes what open has opened, whatever became of the rest.
func (p *process) release() error {
	var errs []error
	if p.ops != nil {
		errs = append(errs, p.ops.Close())
	}
	for _, listener := range []interface{ Close() error }{p.public, p.opsListener} {
		if listener != nil {
			_ = listener.Close() // the servers may have closed it
		}
	}
	if p.db != nil {
		p.db.Close()
	}
	if p.bucket != nil {
		errs = append(errs, p.bucket.Close())
	}
	if p.visitors != nil {
		errs = append(errs, p.visitors.Close())
	}
	return errors.Join(append(errs, p.metrics.Close())...)
}
