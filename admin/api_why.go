package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/admin/report"
	"github.com/hayate-ads/hayate/internal/ad"
)

type whyRequest struct {
	ID   ad.ID  `path:"id" doc:"The line item's id."`
	Span string `query:"span" enum:"24h,7d" default:"24h" doc:"The last 24 hours, or the last 7 days."`
}

// whyStateBody is something that keeps a line item from serving whatever the traffic.
type whyStateBody struct {
	Code    string `json:"code" example:"no_creative" doc:"One of advertiser_status, campaign_status, line_item_status, never_dates, not_started, ended, refused, contradiction, no_creative, spent_today, spent."`
	Message string `json:"message"`
}

type whyReasonBody struct {
	Reason    string `json:"reason" example:"no_match" doc:"won, no_match, no_creative, below_floor, excluded, no_lease (budget spent or paced), outbid, capped, stopped or out_of_date; more may come."`
	Dimension string `json:"dimension,omitempty" example:"country" doc:"Of no_match: what of the requests did not match."`
	Counted   int64  `json:"counted" doc:"How often the auction came upon the line item and passed it over for this reason; exact."`
	Estimated int64  `json:"estimated" doc:"How many requests ended like this, estimated from a sample of all."`
	Samples   int64  `json:"samples" doc:"The requests of the sample behind the estimate."`
	Share     string `json:"share,omitempty" example:"0.82" doc:"A decimal: of the estimate, of what was counted where there is no sample."`
}

type whyBody struct {
	LineItemID ad.ID           `json:"line_item_id"`
	From       time.Time       `json:"from"`
	To         time.Time       `json:"to"`
	SettledTo  *time.Time      `json:"settled_to,omitempty" doc:"Every request before this moment is counted; left out: nothing was settled yet."`
	Summary    string          `json:"summary" doc:"The main reason as a sentence." example:"Most requests come from outside its countries (82 %, estimated from 1 in 640 requests)."`
	Advice     string          `json:"advice,omitempty" doc:"What to do about it."`
	States     []whyStateBody  `json:"states" nullable:"false" doc:"What keeps it from serving whatever the traffic."`
	Reasons    []whyReasonBody `json:"reasons" nullable:"false" doc:"The most frequent first."`
	OneIn      int64           `json:"one_in,omitempty" doc:"One in so many requests was looked at for the estimates; left out: none was."`
	Incomplete bool            `json:"incomplete,omitempty" doc:"Some cases could not be filed under a line item: counts may be too low."`
}

func (w *why) body() whyBody {
	const lang = "en"
	advice := w.mainAdvice(lang)
	body := whyBody{
		LineItemID: w.lineItem.ID, From: w.from, To: w.to, SettledTo: maybe(w.fresh), Summary: advice.Text, Advice: advice.Do,
		States: []whyStateBody{}, Reasons: []whyReasonBody{}, OneIn: w.oneIn(), Incomplete: w.unplaced > 0,
	}
	for _, s := range w.states {
		body.States = append(body.States, whyStateBody{s.code, s.text(lang)})
	}
	for _, r := range w.rows {
		body.Reasons = append(body.Reasons, whyReasonBody{r.Reason, r.Dimension, r.Counted, r.Estimated, r.Samples, report.Ratio(w.share(r))})
	}
	return body
}

// apiWhy serves why a line item is not serving.
func (c *console) apiWhy(api huma.API) {
	op := huma.Operation{
		OperationID: "get-why", Method: http.MethodGet, Path: "/api/v1/line-items/{id}/why", Tags: []string{"line-items"},
		Summary: "Why a line item is not serving",
	}
	huma.Register(api, op, func(ctx context.Context, in *whyRequest) (*answer[whyBody], error) {
		return respond(ctx, c, op.OperationID, func() (b whyBody, err error) {
			w, err := c.readWhy(ctx, in.ID, in.Span)
			if err != nil {
				return b, err
			}
			return w.body(), nil
		})
	})
}
