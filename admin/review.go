package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
)

// reviewInput is a verdict on the latest revision of a creative.
type reviewInput struct {
	Revision int    `json:"revision" doc:"The number of the revision that was looked at."`
	Verdict  string `json:"verdict" enum:"approve,reject"`
	Reason   string `json:"reason,omitempty" doc:"Needed to reject: the advertiser reads it."`
}

func (c *console) review(ctx context.Context, id ad.ID, in reviewInput) (ad.Creative, error) {
	if in.Verdict != "approve" && in.Verdict != "reject" {
		return ad.Creative{}, ad.Invalid{{Field: "verdict", Code: ad.Unknown, Message: "has to be approve or reject"}}
	}
	return c.db.ReviewCreative(ctx, actorOf(ctx), id, in.Revision, in.Verdict == "approve", strings.TrimSpace(in.Reason))
}

func (c *console) reviewsPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	pending, err := c.db.PendingCreatives(ctx, actorOf(ctx), pageOf(r))
	if err != nil {
		return err
	}
	pending, next := cut(pending, "/reviews", func(k ad.Creative) ad.ID { return k.ID })
	table, err := c.reviewTable(ctx, pending)
	if err != nil {
		return err
	}
	table.Next = next
	return c.show(w, r, views.List(views.Page{Title: views.T(lang, "nav.reviews"), Section: "reviews"}, table))
}

func (c *console) reviewTable(ctx context.Context, pending []ad.Creative) (views.Table, error) {
	lang := views.From(ctx).Language
	table := views.Table{
		Title:   views.T(lang, "review.queue"),
		Columns: names(column(lang, "noun.creative"), column(lang, "noun.advertiser"), column(lang, "creative.format"), column(lang, "review.waiting_since")),
		Empty:   views.Empty{Title: views.T(lang, "review.none"), Text: views.T(lang, "review.none_text")},
	}
	for _, k := range pending {
		ch, err := c.chainOfLineItem(ctx, k.LineItemID)
		if err != nil {
			return table, err
		}
		kind := "review.first"
		if k.Serving != nil {
			kind = "review.change"
		}
		table.Rows = append(table.Rows, []views.Cell{
			{Text: k.Name, URL: fmt.Sprintf("/reviews/%d", k.ID), Note: views.T(lang, kind)},
			{Text: ch.advertiser.Name, Note: ch.campaign.Name + " / " + ch.lineItem.Name},
			{Text: formatText(lang, k.Latest)}, {Text: views.Moment(k.UpdatedAt, ch.zone)},
		})
	}
	return table, nil
}

func (c *console) reviewPage(w http.ResponseWriter, r *http.Request) error {
	return c.showReview(w, r, http.StatusOK, reviewInput{}, problems{lang: langOf(r)})
}

func (c *console) showReview(w http.ResponseWriter, r *http.Request, status int, in reviewInput, p problems) error {
	ctx := r.Context()
	ch, err := c.creativeChain(r)
	if err != nil {
		return err
	}
	k := ch.creative
	page := views.Page{
		Title: k.Name, Kind: p.t("nav.reviews"), Section: "reviews", Crumbs: []views.Link{{Text: p.t("nav.reviews"), URL: "/reviews"}},
		Badges: []views.Badge{views.ReviewBadge(p.lang, k.Latest.Review)},
	}
	details := []views.Detail{
		{Name: p.t("noun.advertiser"), Value: ch.advertiser.Name, URL: advertiserPath(ch.advertiser.ID), Note: ch.advertiser.Domain},
		{Name: p.t("noun.campaign"), Value: ch.campaign.Name, URL: campaignPath(ch.campaign.ID)},
		{Name: p.t("noun.line_item"), Value: ch.lineItem.Name, URL: lineItemPath(ch.lineItem.ID)},
		{Name: p.t("noun.creative"), Value: k.Name, URL: creativePath(k.ID)},
		{Name: p.t("creative.landing"), Value: k.Latest.LandingURL},
	}
	var serving *views.Preview
	if k.Serving != nil && k.Serving.Number != k.Latest.Number {
		s := c.preview(k, *k.Serving, p.t("review.serving_now", k.Serving.Number), p.lang)
		serving = &s
	}
	action := ""
	if mayReview(ctx) && k.Latest.Review == ad.Pending {
		action = fmt.Sprintf("/reviews/%d", k.ID)
	}
	reason := p.hint(p.field("reason", "review.reason", "area", in.Reason), "review.reason_hint")
	if reason.Error == "" {
		reason.Error = p.error("reason")
	}
	judged := c.preview(k, k.Latest, p.t("review.to_judge", k.Latest.Number), p.lang)
	c.render(w, r, status, views.ReviewPage(page, details, judged, serving, action, int64(k.Latest.Number), reason))
	return nil
}

// postReview takes the form's hidden version for the revision that was looked at.
func (c *console) postReview(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	var form struct {
		Version int    `json:"version"`
		Verdict string `json:"verdict"`
		Reason  string `json:"reason"`
	}
	if err := readForm(w, r, maxForm, &form); err != nil {
		return err
	}
	in := reviewInput{Revision: form.Version, Verdict: form.Verdict, Reason: form.Reason}
	if _, err := c.review(r.Context(), id, in); err != nil {
		if p, status := problemsOf(err, langOf(r)); status != 0 {
			return c.showReview(w, r, status, in, p)
		}
		return err
	}
	return c.redirect(w, r, "/reviews", "notice.reviewed_"+in.Verdict)
}
