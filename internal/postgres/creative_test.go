package postgres_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// The way of a creative: draft, pending, rejected, revised, approved; what is
// approved serves while its successor is under review.
func TestReview(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, advertiser, reviewer := t.Context(), h.actor(ad.RoleAdvertiser), h.actor(ad.RoleReviewer)
	c := h.creative
	stands := func(c ad.Creative, number int, review ad.Review, serving int) {
		t.Helper()
		got := 0
		if c.Serving != nil {
			got = c.Serving.Number
		}
		if c.Latest.Number != number || c.Latest.Review != review || got != serving {
			t.Errorf("revision %d is %s and %d serves; want %d, %s and %d", c.Latest.Number, c.Latest.Review, got, number, review, serving)
		}
	}
	stands(c, 1, ad.Draft, 0)
	_, err := h.ReviewCreative(ctx, reviewer, c.ID, 1, true, "")
	wantField(t, err, "review", ad.Conflict)

	c = must[ad.Creative](t)(h.SubmitCreative(ctx, advertiser, c.ID, 1))
	stands(c, 1, ad.Pending, 0)
	if pending := must[[]ad.Creative](t)(h.PendingCreatives(ctx, reviewer, postgres.Page{})); len(pending) != 1 || pending[0].ID != c.ID {
		t.Errorf("pending are %v", pending)
	}
	_, err = h.SubmitCreative(ctx, advertiser, c.ID, 1)
	wantField(t, err, "review", ad.Conflict)
	_, err = h.ReviewCreative(ctx, reviewer, c.ID, 1, false, " ")
	wantField(t, err, "reason", ad.Required)

	c = must[ad.Creative](t)(h.ReviewCreative(ctx, reviewer, c.ID, 1, false, "Too loud."))
	stands(c, 1, ad.Rejected, 0)
	if c.Latest.Reason != "Too loud." || c.Latest.ReviewedBy != reviewer.UserID || c.Latest.ReviewedAt.IsZero() {
		t.Errorf("rejected revision is %+v", c.Latest)
	}

	c = must[ad.Creative](t)(h.ReviseCreative(ctx, advertiser, c.ID, c.Version, sampleRevision()))
	stands(c, 2, ad.Draft, 0)
	c = h.approve(t, c)
	stands(c, 2, ad.Approved, 2)

	// An edit does not take the approved ad off the air, and withdraws itself from
	// review when edited again.
	html := ad.Revision{Format: ad.HTML, Width: 300, Height: 250, LandingURL: "https://shop.example/", Markup: "<b>颯</b>"}
	c = must[ad.Creative](t)(h.ReviseCreative(ctx, advertiser, c.ID, c.Version, html))
	c = must[ad.Creative](t)(h.SubmitCreative(ctx, advertiser, c.ID, 3))
	stands(c, 3, ad.Pending, 2)
	c = must[ad.Creative](t)(h.ReviseCreative(ctx, advertiser, c.ID, c.Version, html))
	stands(c, 4, ad.Draft, 2)
	if pending := must[[]ad.Creative](t)(h.PendingCreatives(ctx, reviewer, postgres.Page{})); len(pending) != 0 {
		t.Errorf("pending are %v; want none", pending)
	}
	if _, err := h.ReviewCreative(ctx, reviewer, c.ID, 3, true, ""); !errors.Is(err, postgres.ErrVersion) {
		t.Errorf("review of an older revision: %v; want ErrVersion", err)
	}
	if _, err := h.ReviseCreative(ctx, advertiser, c.ID, c.Version-1, html); !errors.Is(err, postgres.ErrVersion) {
		t.Errorf("revision of an older version: %v; want ErrVersion", err)
	}
	var reviews []ad.Review
	for _, r := range must[[]ad.Revision](t)(h.Revisions(ctx, advertiser, c.ID)) {
		reviews = append(reviews, r.Review)
	}
	if diff := cmp.Diff([]ad.Review{ad.Draft, ad.Draft, ad.Approved, ad.Rejected}, reviews); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
}

func TestStops(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	stops := func() (list []string) {
		t.Helper()
		rows, err := h.Pool.Query(ctx, "SELECT kind || ' ' || stopped FROM stop ORDER BY changed_at")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			list = append(list, s)
		}
		return list
	}
	h.approve(t, h.creative)
	h.campaign.Name = "Only the name"
	h.campaign = must[ad.Campaign](t)(h.UpdateCampaign(ctx, postgres.System, h.campaign))
	if got := stops(); got != nil {
		t.Errorf("stops without a change of status: %q", got)
	}
	h.advertiser.Status = ad.Paused
	must[ad.Advertiser](t)(h.UpdateAdvertiser(ctx, postgres.System, h.advertiser))
	h.campaign.Status = ad.Paused
	h.campaign = must[ad.Campaign](t)(h.UpdateCampaign(ctx, postgres.System, h.campaign))
	h.lineItem.Status = ad.Archived
	must[ad.LineItem](t)(h.UpdateLineItem(ctx, postgres.System, h.lineItem))
	c := must[ad.Creative](t)(h.FindCreative(ctx, postgres.System, h.creative.ID))
	c.Status = ad.Paused
	must[ad.Creative](t)(h.UpdateCreative(ctx, postgres.System, c))
	h.campaign.Status = ad.Active
	must[ad.Campaign](t)(h.UpdateCampaign(ctx, postgres.System, h.campaign))
	want := []string{"advertiser true", "line_item true", "creative true", "campaign false"}
	if diff := cmp.Diff(want, stops()); diff != "" {
		t.Errorf("stops (-want +got):\n%s", diff)
	}
}

func TestAuditTellsWhoAndWhat(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, operator := t.Context(), h.actor(ad.RoleOperator)
	h.lineItem.Name, h.lineItem.DailyBudget = "Newer", nil
	must[ad.LineItem](t)(h.UpdateLineItem(ctx, operator, h.lineItem))
	log := must[[]postgres.Entry](t)(h.AuditLog(ctx, operator, postgres.AuditFilter{Kind: "line_item", ItemID: h.lineItem.ID}))
	if len(log) != 2 || log[0].Action != "create" || log[0].UserID != 0 || log[1].Action != "update" || log[1].UserID != operator.UserID {
		t.Fatalf("log is %+v", log)
	}
	if got, want := string(log[1].Detail), `{"Name": ["Japan", "Newer"], "DailyBudget": ["10.00", null]}`; got != want {
		t.Errorf("detail is %s; want %s", got, want)
	}
	if err := h.Audit(ctx, operator, postgres.Entry{Action: "sign_in", Kind: "user", ItemID: operator.UserID}); err != nil {
		t.Error(err)
	}
	if log := must[[]postgres.Entry](t)(h.AuditLog(ctx, operator, postgres.AuditFilter{Kind: "user", ItemID: operator.UserID})); len(log) != 2 {
		t.Errorf("log of the user is %+v", log)
	}
}
