package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/rule"
)

// noun is what all nouns can do, under one shape for the tests that hold for all.
type noun[T any] struct {
	name   string
	find   func(context.Context, postgres.Actor, ad.ID) (T, error)
	update func(context.Context, postgres.Actor, T) (T, error)
	list   func(context.Context, postgres.Actor, postgres.Page) ([]T, error)
	id     func(T) ad.ID
	stamp  func(*T) *ad.Stamp
	rename func(*T, string)
	status func(*T) *ad.Status
}

func advertisers(db *postgres.DB) noun[ad.Advertiser] {
	return noun[ad.Advertiser]{
		"advertiser", db.FindAdvertiser, db.UpdateAdvertiser, db.Advertisers,
		func(a ad.Advertiser) ad.ID { return a.ID },
		func(a *ad.Advertiser) *ad.Stamp { return &a.Stamp },
		func(a *ad.Advertiser, name string) { a.Name = name },
		func(a *ad.Advertiser) *ad.Status { return &a.Status },
	}
}

func campaigns(db *postgres.DB) noun[ad.Campaign] {
	return noun[ad.Campaign]{
		"campaign", db.FindCampaign, db.UpdateCampaign,
		func(ctx context.Context, a postgres.Actor, p postgres.Page) ([]ad.Campaign, error) {
			return db.Campaigns(ctx, a, postgres.CampaignFilter{Page: p})
		},
		func(c ad.Campaign) ad.ID { return c.ID },
		func(c *ad.Campaign) *ad.Stamp { return &c.Stamp },
		func(c *ad.Campaign, name string) { c.Name = name },
		func(c *ad.Campaign) *ad.Status { return &c.Status },
	}
}

func lineItems(db *postgres.DB) noun[ad.LineItem] {
	return noun[ad.LineItem]{
		"line_item", db.FindLineItem, db.UpdateLineItem,
		func(ctx context.Context, a postgres.Actor, p postgres.Page) ([]ad.LineItem, error) {
			return db.LineItems(ctx, a, postgres.LineItemFilter{Page: p})
		},
		func(l ad.LineItem) ad.ID { return l.ID },
		func(l *ad.LineItem) *ad.Stamp { return &l.Stamp },
		func(l *ad.LineItem, name string) { l.Name = name },
		func(l *ad.LineItem) *ad.Status { return &l.Status },
	}
}

func creatives(db *postgres.DB) noun[ad.Creative] {
	return noun[ad.Creative]{
		"creative", db.FindCreative, db.UpdateCreative,
		func(ctx context.Context, a postgres.Actor, p postgres.Page) ([]ad.Creative, error) {
			return db.Creatives(ctx, a, postgres.CreativeFilter{Page: p})
		},
		func(c ad.Creative) ad.ID { return c.ID },
		func(c *ad.Creative) *ad.Stamp { return &c.Stamp },
		func(c *ad.Creative, name string) { c.Name = name },
		func(c *ad.Creative) *ad.Status { return &c.Status },
	}
}

func publishers(db *postgres.DB) noun[ad.Publisher] {
	return noun[ad.Publisher]{
		"publisher", db.FindPublisher, db.UpdatePublisher, db.Publishers,
		func(p ad.Publisher) ad.ID { return p.ID },
		func(p *ad.Publisher) *ad.Stamp { return &p.Stamp },
		func(p *ad.Publisher, name string) { p.Name = name },
		func(p *ad.Publisher) *ad.Status { return &p.Status },
	}
}

func properties(db *postgres.DB) noun[ad.Property] {
	return noun[ad.Property]{
		"property", db.FindProperty, db.UpdateProperty,
		func(ctx context.Context, a postgres.Actor, p postgres.Page) ([]ad.Property, error) {
			return db.Properties(ctx, a, postgres.PropertyFilter{Page: p})
		},
		func(p ad.Property) ad.ID { return p.ID },
		func(p *ad.Property) *ad.Stamp { return &p.Stamp },
		func(p *ad.Property, name string) { p.Name = name },
		func(p *ad.Property) *ad.Status { return &p.Status },
	}
}

func placements(db *postgres.DB) noun[ad.Placement] {
	return noun[ad.Placement]{
		"placement", db.FindPlacement, db.UpdatePlacement,
		func(ctx context.Context, a postgres.Actor, p postgres.Page) ([]ad.Placement, error) {
			return db.Placements(ctx, a, postgres.PlacementFilter{Page: p})
		},
		func(p ad.Placement) ad.ID { return p.ID },
		func(p *ad.Placement) *ad.Stamp { return &p.Stamp },
		func(p *ad.Placement, name string) { p.Name = name },
		func(p *ad.Placement) *ad.Status { return &p.Status },
	}
}

func users(db *postgres.DB) noun[ad.User] {
	return noun[ad.User]{
		"user", db.FindUser, db.UpdateUser, db.Users,
		func(u ad.User) ad.ID { return u.ID },
		func(u *ad.User) *ad.Stamp { return &u.Stamp },
		func(u *ad.User, name string) { u.Name = name },
		func(u *ad.User) *ad.Status { return &u.Status },
	}
}

// TestNouns checks what holds for every noun: what is stored is found, edits name
// the version they were made from, one of two wins, and what is archived stays so.
func TestNouns(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	t.Run("group", func(t *testing.T) {
		runNoun(t, advertisers(h.DB), addHouse(t, h.DB, "a").advertiser)
		runNoun(t, campaigns(h.DB), addHouse(t, h.DB, "b").campaign)
		runNoun(t, lineItems(h.DB), addHouse(t, h.DB, "c").lineItem)
		runNoun(t, creatives(h.DB), addHouse(t, h.DB, "d").creative)
		runNoun(t, publishers(h.DB), addHouse(t, h.DB, "e").publisher)
		runNoun(t, properties(h.DB), addHouse(t, h.DB, "f").property)
		runNoun(t, placements(h.DB), addHouse(t, h.DB, "g").placement)
		runNoun(t, users(h.DB), addHouse(t, h.DB, "h").users[ad.RoleReviewer])
	})
}

func runNoun[T any](t *testing.T, n noun[T], created T) {
	t.Run(n.name, func(t *testing.T) {
		t.Parallel()
		found := must[T](t)(n.find(t.Context(), postgres.System, n.id(created)))
		if diff := cmp.Diff(created, found, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("found is not created (-created +found):\n%s", diff)
		}
		if stamp := n.stamp(&found); stamp.Version != 1 || stamp.CreatedAt.IsZero() || stamp.CreatedAt.Location().String() != "UTC" {
			t.Errorf("stamp is %+v", *stamp)
		}
		n.rename(&found, "  颯 Renamed ")
		edited := must[T](t)(n.update(t.Context(), postgres.System, found))
		n.rename(&found, "颯 Renamed")
		*n.stamp(&found) = *n.stamp(&edited)
		if diff := cmp.Diff(found, edited, cmpopts.EquateEmpty()); diff != "" || n.stamp(&edited).Version != 2 {
			t.Errorf("edited (-want +got):\n%s", diff)
		}
		n.checkRace(t, edited)
		n.checkArchived(t, n.id(edited))
		n.checkPages(t)
		if _, err := n.find(t.Context(), postgres.System, 1<<60); !errors.Is(err, postgres.ErrNotFound) {
			t.Errorf("find unknown: %v", err)
		}
	})
}

// checkRace lets eight edit the same version at once.
func (n noun[T]) checkRace(t *testing.T, from T) {
	t.Helper()
	const editors = 8
	results := make(chan error, editors)
	for range editors {
		go func() {
			_, err := n.update(t.Context(), postgres.System, from)
			results <- err
		}()
	}
	won := 0
	for range editors {
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.Is(err, postgres.ErrVersion):
			t.Errorf("edit: %v; want ErrVersion", err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d edits of one version won; want 1", won, editors)
	}
}

func (n noun[T]) checkArchived(t *testing.T, id ad.ID) {
	t.Helper()
	last := must[T](t)(n.find(t.Context(), postgres.System, id))
	*n.status(&last) = ad.Archived
	last = must[T](t)(n.update(t.Context(), postgres.System, last))
	*n.status(&last) = ad.Active
	_, err := n.update(t.Context(), postgres.System, last)
	wantField(t, err, "status", ad.Final)
}

func (n noun[T]) checkPages(t *testing.T) {
	t.Helper()
	all := must[[]T](t)(n.list(t.Context(), postgres.System, postgres.Page{}))
	var paged []T
	for page := (postgres.Page{Limit: 2}); ; {
		part := must[[]T](t)(n.list(t.Context(), postgres.System, page))
		if len(part) == 0 {
			break
		}
		paged = append(paged, part...)
		page.After = n.id(part[len(part)-1])
	}
	if len(all) < 8 || len(paged) != len(all) {
		t.Errorf("%d in pages of 2, %d at once; want equal and at least 8", len(paged), len(all))
	}
}

// wantField checks for an ad.Invalid with exactly this field and code.
func wantField(t *testing.T, err error, field, code string) {
	t.Helper()
	var invalid ad.Invalid
	if !errors.As(err, &invalid) || len(invalid) != 1 || invalid[0].Field != field || invalid[0].Code != code {
		t.Errorf("error is %v; want field %s with code %s", err, field, code)
	}
}

func TestInvalidIsNotStored(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, operator := t.Context(), h.actor(ad.RoleOperator)
	l := h.lineItem
	l.DailyBudget, l.CPM = micros(0), -1
	var invalid ad.Invalid
	if _, err := h.UpdateLineItem(ctx, operator, l); !errors.As(err, &invalid) || len(invalid) != 2 {
		t.Errorf("update: %v; want two field errors", err)
	}
	if _, err := h.CreateLineItem(ctx, operator, l); !errors.As(err, &invalid) {
		t.Errorf("create: %v", err)
	}
	if got := must[ad.LineItem](t)(h.FindLineItem(ctx, operator, l.ID)); got.Version != 1 {
		t.Errorf("version is %d after a refused edit", got.Version)
	}
	moved := h.lineItem
	moved.CampaignID = addHouse(t, h.DB, "two").campaign.ID
	_, err := h.UpdateLineItem(ctx, operator, moved)
	wantField(t, err, "campaign_id", ad.Immutable)
	zone := h.advertiser
	zone.TimeZone = "Europe/Paris"
	_, err = h.UpdateAdvertiser(ctx, operator, zone)
	wantField(t, err, "time_zone", ad.Immutable)
}

func TestNothingBelowTheArchived(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	h.campaign.Status = ad.Archived
	must[ad.Campaign](t)(h.UpdateCampaign(ctx, postgres.System, h.campaign))
	_, err := h.CreateLineItem(ctx, postgres.System, sampleLineItem(h.campaign.ID))
	wantField(t, err, "campaign_id", ad.Final)
	h.property.Status = ad.Archived
	must[ad.Property](t)(h.UpdateProperty(ctx, postgres.System, h.property))
	_, err = h.CreatePlacement(ctx, postgres.System, h.placement)
	wantField(t, err, "property_id", ad.Final)
}

// A rule as large as is accepted must still be readable once it is stored, when
// JSON's escapes have made it longer.
func TestLargestTargeting(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	values := make([]string, rule.MaxValues)
	for i := range values {
		values[i] = "k=<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<" + string(rune('a'+i%26)) + string(rune(0x4e00+i))
	}
	h.lineItem.Targeting = rule.Expr{Is: &rule.Predicate{Dimension: rule.Keyword, Values: values}}
	updated := must[ad.LineItem](t)(h.UpdateLineItem(t.Context(), postgres.System, h.lineItem))
	if diff := cmp.Diff(h.lineItem.Targeting, updated.Targeting); diff != "" {
		t.Error("the stored rule is another one")
	}
}

func TestTiersAreBookedByOperators(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, advertiser := t.Context(), h.actor(ad.RoleAdvertiser)
	forbidden := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, postgres.ErrForbidden) {
			t.Errorf("%s: %v; want ErrForbidden", what, err)
		}
	}
	l := sampleLineItem(h.campaign.ID)
	l.Tier = ad.Sponsorship
	_, err := h.CreateLineItem(ctx, advertiser, l)
	forbidden("create", err)
	l = h.lineItem
	l.Tier = ad.Guaranteed
	_, err = h.UpdateLineItem(ctx, advertiser, l)
	forbidden("raise", err)
	l = must[ad.LineItem](t)(h.UpdateLineItem(ctx, postgres.System, l))
	l.CPM = money.Unit
	_, err = h.UpdateLineItem(ctx, advertiser, l)
	forbidden("cheaper", err)
	l.CPM = h.lineItem.CPM
	for what, change := range map[string]func(*ad.LineItem){
		"heavier":      func(l *ad.LineItem) { l.Weight++ },
		"roadblock":    func(l *ad.LineItem) { l.Roadblock = ad.AllOrNone },
		"other labels": func(l *ad.LineItem) { l.Labels = nil },
	} {
		changed := l
		change(&changed)
		_, err = h.UpdateLineItem(ctx, advertiser, changed)
		forbidden(what, err)
	}
	l.Name = "Renamed"
	must[ad.LineItem](t)(h.UpdateLineItem(ctx, advertiser, l))
	share := h.property
	share.RevenueShare = 10_000
	_, err = h.UpdateProperty(ctx, h.actor(ad.RolePublisher), share)
	forbidden("revenue share", err)
	h.property.Name = "Newer"
	must[ad.Property](t)(h.UpdateProperty(ctx, h.actor(ad.RolePublisher), h.property))
}
