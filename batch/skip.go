package batch

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hayate-ads/hayate/batch/settle"
)

// SettleCommand is what an operator tells settle by hand about a stalled stream.
type SettleCommand struct {
	Skip   string `help:"Go on without this segment, at which a stream stands: its events are lost. As the log and the console name it." placeholder:"SEGMENT"`
	Resume string `help:"Go on with this segment, which was repaired." placeholder:"SEGMENT"`
	Why    string `help:"Why it is skipped; it stays with the books." placeholder:"TEXT"`
}

// Settle carries c out and returns what it did, in one line.
func Settle(ctx context.Context, cfg Config, c SettleCommand, log *slog.Logger) (string, error) {
	if (c.Skip == "") == (c.Resume == "") {
		return "", errors.New("either --skip or --resume is needed; `batch run settle` settles")
	}
	key, err := settle.ParseSegment(c.Skip + c.Resume)
	if err != nil {
		return "", err
	}
	h, err := open(ctx, cfg, log)
	if err != nil {
		return "", err
	}
	defer h.close()
	if c.Resume != "" {
		return settle.Resume(ctx, h.runner.DB, h.bucket, key)
	}
	message, err := settle.Skip(ctx, h.runner.DB, h.bucket, key, c.Why)
	if err == nil {
		log.Warn("a segment was skipped", "segment", c.Skip, "why", c.Why, "loss", message)
	}
	return message, err
}
