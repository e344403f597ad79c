package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/hayate-ads/hayate/internal/postgres"
)

// LineItem is a row of lake/dimensions/line_items.parquet.
type LineItem struct {
	ID             int64  `parquet:"id"`
	Name           string `parquet:"name"`
	Tier           string `parquet:"tier,dict"`
	Campaign       int64  `parquet:"campaign,dict"`
	CampaignName   string `parquet:"campaign_name,dict"`
	Advertiser     int64  `parquet:"advertiser,dict"`
	AdvertiserName string `parquet:"advertiser_name,dict"`
	TimeZone       string `parquet:"time_zone,dict"`
	Currency       string `parquet:"currency,dict"`
}

// Creative is a row of lake/dimensions/creatives.parquet.
type Creative struct {
	ID       int64  `parquet:"id"`
	Name     string `parquet:"name"`
	LineItem int64  `parquet:"line_item,dict"`
}

// Placement is a row of lake/dimensions/placements.parquet.
type Placement struct {
	ID            int64  `parquet:"id"`
	Name          string `parquet:"name"`
	Property      int64  `parquet:"property,dict"`
	PropertyName  string `parquet:"property_name,dict"`
	Kind          string `parquet:"kind,dict"`
	Publisher     int64  `parquet:"publisher,dict"`
	PublisherName string `parquet:"publisher_name,dict"`
}

// dimensions writes the names of what events name by id, as they are now. Each
// file is replaced as a whole.
func (w *Writer) dimensions(ctx context.Context) error {
	err := put(ctx, w.Bucket, dimensionsTable+"/line_items.parquet", func(row func(LineItem) error) error {
		return w.DB.LakeLineItems(ctx, func(l postgres.LakeLineItem) error {
			return row(LineItem{
				ID: int64(l.ID), Name: l.Name, Tier: l.Tier.String(), Campaign: int64(l.Campaign), CampaignName: l.CampaignName,
				Advertiser: int64(l.Advertiser), AdvertiserName: l.AdvertiserName, TimeZone: l.TimeZone, Currency: w.Currency,
			})
		})
	})
	if err != nil {
		return err
	}
	err = put(ctx, w.Bucket, dimensionsTable+"/creatives.parquet", func(row func(Creative) error) error {
		return w.DB.LakeCreatives(ctx, func(c postgres.LakeCreative) error {
			return row(Creative{ID: int64(c.ID), Name: c.Name, LineItem: int64(c.LineItem)})
		})
	})
	if err != nil {
		return err
	}
	return put(ctx, w.Bucket, dimensionsTable+"/placements.parquet", func(row func(Placement) error) error {
		return w.DB.LakePlacements(ctx, func(m postgres.LakePlacement) error {
			return row(Placement{
				ID: int64(m.ID), Name: m.Name, Property: int64(m.Property), PropertyName: m.PropertyName, Kind: m.Kind,
				Publisher: int64(m.Publisher), PublisherName: m.PublisherName,
			})
		})
	})
}

const statusKey = "lake/status.json"

// announce says in the bucket up to when the lake is complete, for whoever
// starts work on an hour when it is there.
func (w *Writer) announce(ctx context.Context, complete time.Time) error {
	status, err := json.Marshal(struct {
		CompleteBefore time.Time `json:"complete_before"`
	}{complete})
	if err != nil {
		return err
	}
	old, err := w.Bucket.ReadAll(ctx, statusKey)
	if err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("read %s: %w", statusKey, err)
	}
	if bytes.Equal(old, status) {
		return nil
	}
	if err := w.Bucket.WriteAll(ctx, statusKey, status, &blob.WriterOptions{ContentType: "application/json"}); err != nil {
		return fmt.Errorf("write %s: %w", statusKey, err)
	}
	return nil
}
