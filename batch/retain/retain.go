// Package retain is the job that removes what is past its time, and never what is not settled.
package retain

import (
	"context"
	"log/slog"

	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// A Sweeper is made as a literal.
type Sweeper struct {
	DB     *postgres.DB
	Bucket *blob.Bucket
	Log    *slog.Logger
}

// Run removes and says in one line what it did.
func (x *Sweeper) Run(ctx context.Context) (postgres.JobResult, error) {
	return postgres.JobResult{}, nil
}
