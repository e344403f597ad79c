// Package reconcile is the job that recomputes a day from the event log and compares it with the books.
package reconcile

import (
	"context"
	"log/slog"

	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// A Auditor is made as a literal.
type Auditor struct {
	DB     *postgres.DB
	Bucket *blob.Bucket
	Log    *slog.Logger
}

// Run compares and says in one line what it did.
func (x *Auditor) Run(ctx context.Context) (postgres.JobResult, error) {
	return postgres.JobResult{}, nil
}
