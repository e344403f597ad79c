// Package rollup is the job that sums report hours up to days.
package rollup

import (
	"context"
	"fmt"
	"time"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// A Roller is made as a literal.
type Roller struct{ DB *postgres.DB }

// Run makes the days anew whose hours have changed, a transaction each, and says
// how many. Its lag is how long the first change that is still not in them has
// been waiting: nothing, unless the run was cut short.
func (x *Roller) Run(ctx context.Context) (postgres.JobResult, error) {
	changed, err := x.DB.ChangedDays(ctx)
	if err != nil {
		return postgres.JobResult{}, err
	}
	started, hours := time.Now(), 0
	for i, day := range changed {
		if err := x.DB.RollUp(ctx, day.Day); err != nil {
			return postgres.JobResult{Message: said(i, hours), Lag: max(0, started.Sub(day.Since))},
				fmt.Errorf("%s: %w", day.Day.Format(time.DateOnly), err)
		}
		hours += day.Hours
	}
	return postgres.JobResult{Message: said(len(changed), hours)}, nil
}

func said(days, hours int) string {
	return fmt.Sprintf("%d changed hours of %d days summed up", hours, days)
}
