package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/hayate-ads/hayate/internal/ad"
)

// stopPatience bounds the time from dating a stop to its commit, well within the
// stopOverlap by which heartbeats look back: a client that hangs in between loses
// its transaction.
const stopPatience = "10s"

// putStop records whether a thing may serve. It is the last statement of its
// transaction, see stopPatience.
func putStop(ctx context.Context, tx pgx.Tx, kind string, id ad.ID, status ad.Status) error {
	if _, err := tx.Exec(ctx, "SELECT set_config('idle_in_transaction_session_timeout', $1, true)", stopPatience); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO stop (kind, item_id, stopped, changed_at) VALUES ($1, $2, $3, bank_now())
		ON CONFLICT (kind, item_id) DO UPDATE SET stopped = excluded.stopped, changed_at = excluded.changed_at`,
		kind, id, status != ad.Active)
	return err
}
