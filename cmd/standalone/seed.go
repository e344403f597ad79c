package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"time"

	"gocloud.dev/blob"

	"github.com/hayate-ads/hayate/admin/auth"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
	"github.com/hayate-ads/hayate/internal/rule"
)

//go:embed demo/*.jpg
var pictures embed.FS

// seeder fills an empty installation with the demo's world, through the same
// store as the console: whatever is refused there is refused here.
type seeder struct {
	ctx     context.Context
	db      *postgres.DB
	bucket  *blob.Bucket
	demoURL string // where clicks end
}

// seed makes the demo data once: in a database that has an advertiser it does
// nothing. It returns the demo's placements.
func (s seeder) seed() (page, error) {
	advertisers, err := s.db.Advertisers(s.ctx, postgres.System, postgres.Page{})
	if err != nil {
		return page{}, err
	}
	if len(advertisers) == 0 {
		if err := s.sell(); err != nil {
			return page{}, fmt.Errorf("demo data, supply: %w", err)
		}
		for _, a := range demand {
			if err := s.buy(a); err != nil {
				return page{}, fmt.Errorf("demo data, %s: %w", a.name, err)
			}
		}
	}
	return s.placements()
}

// sell makes the publisher, its property and its placements.
func (s seeder) sell() error {
	publisher, err := s.db.CreatePublisher(s.ctx, postgres.System, ad.Publisher{Name: "Tailwind Media", Domain: "tailwind.example", Status: ad.Active})
	if err != nil {
		return err
	}
	property, err := s.db.CreateProperty(s.ctx, postgres.System, ad.Property{
		PublisherID: publisher.ID, Name: "The Tailwind", Kind: ad.Site, Domain: "tailwind.example", RevenueShare: 7000, Status: ad.Active,
	})
	if err != nil {
		return err
	}
	for _, p := range supply {
		p.PropertyID, p.Status = property.ID, ad.Active
		if _, err := s.db.CreatePlacement(s.ctx, postgres.System, p); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}

// placements finds the demo's placements by their names.
func (s seeder) placements() (p page, err error) {
	all, err := s.db.Placements(s.ctx, postgres.System, postgres.PlacementFilter{})
	if err != nil {
		return page{}, err
	}
	into := map[string]*string{leaderboard: &p.Leaderboard, rectangle: &p.Rectangle, mobile: &p.Mobile, native: &p.Native, video: &p.Video}
	for _, placement := range all {
		if id := into[placement.Name]; id != nil && *id == "" {
			*id = fmt.Sprint(placement.ID)
		}
	}
	return p, nil
}

// buy makes an advertiser with its campaign, line items and approved creatives.
func (s seeder) buy(a advertiser) error {
	start := time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)
	buyer, err := s.db.CreateAdvertiser(s.ctx, postgres.System, ad.Advertiser{Name: a.name, Domain: a.domain, TimeZone: a.timeZone, Status: ad.Active})
	if err != nil {
		return err
	}
	campaign, err := s.db.CreateCampaign(s.ctx, postgres.System, ad.Campaign{AdvertiserID: buyer.ID, Name: a.campaign, StartsAt: start, Status: ad.Active})
	if err != nil {
		return err
	}
	for _, item := range a.lineItems {
		targeting, err := rule.Parse([]byte(item.targeting))
		if err != nil {
			return fmt.Errorf("%s: %w", item.name, err)
		}
		lineItem, err := s.db.CreateLineItem(s.ctx, postgres.System, ad.LineItem{
			CampaignID: campaign.ID, Name: item.name, Tier: item.tier, CPM: item.cpm,
			DailyBudget: item.daily, LifetimeBudget: item.lifetime, StartsAt: start, Targeting: targeting, Status: ad.Active,
		})
		if err != nil {
			return fmt.Errorf("%s: %w", item.name, err)
		}
		for _, shape := range item.creatives {
			landing := fmt.Sprintf("%s/landing/%s?id=%d&hy={conversion}", s.demoURL, a.key, buyer.ID)
			if err := s.create(a, lineItem, landing, shape); err != nil {
				return fmt.Errorf("%s, creative %s: %w", item.name, shape, err)
			}
		}
	}
	return nil
}

// create makes one creative, submits it and approves it.
func (s seeder) create(a advertiser, lineItem ad.LineItem, landing, shape string) error {
	revision := ad.Revision{LandingURL: landing}
	if _, err := fmt.Sscanf(shape, "%dx%d", &revision.Width, &revision.Height); err != nil {
		return err
	}
	if markup := a.markup; lineItem.Tier == ad.Guaranteed && markup != "" {
		revision.Format, revision.Markup = ad.HTML, markup
	} else {
		image, err := s.picture(a.key + "-" + shape)
		if err != nil {
			return err
		}
		revision.Format, revision.Image = ad.Banner, image
	}
	creative, err := s.db.CreateCreative(s.ctx, postgres.System, ad.Creative{LineItemID: lineItem.ID, Name: a.name + " " + shape, Status: ad.Active, Latest: revision})
	if err != nil {
		return err
	}
	if creative, err = s.db.SubmitCreative(s.ctx, postgres.System, creative.ID, creative.Latest.Number); err != nil {
		return err
	}
	_, err = s.db.ReviewCreative(s.ctx, postgres.System, creative.ID, creative.Latest.Number, true, "")
	return err
}

// picture puts a picture of the demo into the bucket, under its checksum.
func (s seeder) picture(name string) (ad.Image, error) {
	content, err := pictures.ReadFile("demo/" + name + ".jpg")
	if err != nil {
		return ad.Image{}, err
	}
	sum := sha256.Sum256(content)
	image := ad.Image{SHA256: hex.EncodeToString(sum[:]), Type: "image/jpeg", Bytes: int64(len(content))}
	err = s.bucket.WriteAll(s.ctx, "assets/"+image.SHA256+".jpg", content, &blob.WriterOptions{ContentType: image.Type})
	return image, err
}

// adminEmail is the demo's operator.
const adminEmail = "admin@hayate.example"

// operator makes sure that the demo's operator exists with that password.
func operator(ctx context.Context, db *postgres.DB, password string) (ad.User, error) {
	user, _, err := db.UserByEmail(ctx, adminEmail)
	if err == nil {
		return user, nil
	}
	hash, err := auth.NewHasher(1).Hash(ctx, password)
	if err != nil {
		return ad.User{}, err
	}
	return db.CreateUser(ctx, postgres.System, ad.User{Email: adminEmail, Name: "Operator", Role: ad.RoleOperator, Language: "en", Status: ad.Active}, hash)
}

func micros(m money.Micros) *money.Micros { return &m }
