package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// profileFor is how long the server is loaded while its profile is taken.
const profileFor = 30 * time.Second

// profile writes a CPU profile of delivery under the load of the decision
// figures, among 100,000 line items, for the compiler: cmd/delivery/default.pgo.
func profile(ctx context.Context, path string) (err error) {
	dir, err := os.MkdirTemp("", "hayate-profile-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{dir: dir, out: io.Discard}
	f, err := b.setUp(ctx, 100_000)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close(context.WithoutCancel(ctx))) }()
	p, err := b.pair(ctx, f)
	if err != nil {
		return err
	}
	defer p.stop()
	loaded := make(chan error, 1)
	go func() {
		_, err := b.wrk(ctx, p.ours, throughputConns, profileFor+2*time.Second, p.file)
		loaded <- err
	}()
	err = fetchProfile(ctx, p.ops, path)
	return errors.Join(err, <-loaded)
}

func fetchProfile(ctx context.Context, ops, path string) error {
	url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", ops, int(profileFor.Seconds()))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s", response.Status)
	}
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return os.WriteFile(path, data, 0o644)
}
