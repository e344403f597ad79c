package admin

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

type revisionBody struct {
	Number     int        `json:"number"`
	Format     string     `json:"format"`
	Width      int        `json:"width"`
	Height     int        `json:"height"`
	LandingURL string     `json:"landing_url"`
	Image      string     `json:"image,omitempty" doc:"sha256"`
	ImageType  string     `json:"image_type,omitempty"`
	Markup     string     `json:"markup,omitempty"`
	Categories []string   `json:"categories" nullable:"false"`
	Attributes []int      `json:"attributes" nullable:"false" doc:"AdCOM creative attributes."`
	Review     string     `json:"review" enum:"draft,pending,approved,rejected"`
	Reason     string     `json:"reason,omitempty"`
	ReviewedAt *time.Time `json:"reviewed_at,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
}

func revisionBodyOf(r ad.Revision) revisionBody {
	return revisionBody{
		Number: r.Number, Format: string(r.Format), Width: r.Width, Height: r.Height, LandingURL: r.LandingURL, Image: r.Image.SHA256, ImageType: r.Image.Type,
		Markup: r.Markup, Categories: listed(r.Categories), Attributes: listed(r.Attributes), Review: string(r.Review), Reason: r.Reason, ReviewedAt: maybe(r.ReviewedAt), CreatedAt: r.CreatedAt,
	}
}

type creativeBody struct {
	ID         ad.ID         `json:"id"`
	LineItemID ad.ID         `json:"line_item_id"`
	Name       string        `json:"name"`
	Status     string        `json:"status"`
	Latest     revisionBody  `json:"latest"`
	Serving    *revisionBody `json:"serving,omitempty" doc:"The newest approved revision, which is what serves."`
	StampBody
}

func creativeBodyOf(k ad.Creative) creativeBody {
	body := creativeBody{ID: k.ID, LineItemID: k.LineItemID, Name: k.Name, Status: string(k.Status), Latest: revisionBodyOf(k.Latest), StampBody: stampBody(k.Stamp)}
	if k.Serving != nil {
		serving := revisionBodyOf(*k.Serving)
		body.Serving = &serving
	}
	return body
}

type creativesQuery struct {
	AdvertiserID ad.ID `query:"advertiser_id"`
	LineItemID   ad.ID `query:"line_item_id"`
	After        ad.ID `query:"after" minimum:"0" doc:"The last id of the page before."`
	Limit        int   `query:"limit" minimum:"1" maximum:"100" default:"100" doc:"How many at most."`
}

type imageBody struct {
	SHA256 string `json:"sha256" doc:"Its name: give it as a creative's image."`
	Type   string `json:"type" example:"image/png"`
	Bytes  int64  `json:"bytes"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

func (c *console) apiCreatives(api huma.API) {
	save := func(ctx context.Context, id ad.ID, in creativeInput) (ad.Creative, error) {
		return c.saveCreative(ctx, id, in, picture{})
	}
	creatives := resource[creativeInput, creativeBody]{c, api, "creatives", saver(save, creativeBodyOf), finder(c.db.FindCreative, creativeBodyOf), finder(c.db.FindCreative, creativeInputOf)}
	creatives.register()
	creativeID := func(k ad.Creative) ad.ID { return k.ID }
	registerList(creatives, func(ctx context.Context, q creativesQuery) (listBody[creativeBody], error) {
		page := PageQuery{After: q.After, Limit: q.Limit}
		found, err := c.db.Creatives(ctx, actorOf(ctx), postgres.CreativeFilter{AdvertiserID: q.AdvertiserID, LineItemID: q.LineItemID, Page: page.page()})
		return listOf(found, page, creativeBodyOf, creativeID), err
	})
	submit := creatives.operation(http.MethodPost, "/{id}/submit", "Submit")
	submit.Summary = "Submit the latest revision for review"
	huma.Register(api, submit, func(ctx context.Context, in *editRequest[submitInput]) (*answer[creativeBody], error) {
		return respond(ctx, c, submit.OperationID, func() (creativeBody, error) {
			k, err := c.db.SubmitCreative(ctx, actorOf(ctx), in.ID, in.Body.Revision)
			return creativeBodyOf(k), err
		})
	})
	review := creatives.operation(http.MethodPost, "/{id}/review", "Review")
	review.Summary = "Approve or reject the latest revision"
	huma.Register(api, review, func(ctx context.Context, in *editRequest[reviewInput]) (*answer[creativeBody], error) {
		return respond(ctx, c, review.OperationID, func() (creativeBody, error) {
			k, err := c.review(ctx, in.ID, in.Body)
			return creativeBodyOf(k), err
		})
	})
	queue := creatives.operation(http.MethodGet, "", "Pending")
	queue.Path, queue.Summary, queue.Tags = "/api/v1/reviews", "List the creatives that wait for review", []string{"creatives"}
	huma.Register(api, queue, func(ctx context.Context, q *creativesQuery) (*listAnswer[creativeBody], error) {
		page := PageQuery{After: q.After, Limit: q.Limit}
		if !mayReview(ctx) {
			return nil, c.problem(ctx, queue.OperationID, postgres.ErrForbidden)
		}
		found, err := c.db.PendingCreatives(ctx, actorOf(ctx), page.page())
		if err != nil {
			return nil, c.problem(ctx, queue.OperationID, err)
		}
		return &listAnswer[creativeBody]{listOf(found, page, creativeBodyOf, creativeID)}, nil
	})
	c.apiImages(api)
}

// apiImages takes an image as it is, without a form around it.
func (c *console) apiImages(api huma.API) {
	op := huma.Operation{
		OperationID: "upload-image", Method: http.MethodPost, Path: "/api/v1/images", Tags: []string{"creatives"}, DefaultStatus: http.StatusCreated,
		Summary: "Upload a PNG, JPEG or GIF of at most 2 MB; it is encoded again and must then take at most 150 KB", MaxBodyBytes: maxUpload + 1, BodyReadTimeout: 20 * time.Second,
	}
	type upload struct {
		RawBody []byte `contentType:"application/octet-stream"`
	}
	huma.Register(api, op, func(ctx context.Context, in *upload) (*answer[imageBody], error) {
		return respond(ctx, c, op.OperationID, func() (imageBody, error) {
			if !mayEditDemand(ctx) {
				return imageBody{}, postgres.ErrForbidden
			}
			p, err := c.readPicture(ctx, bytes.NewReader(in.RawBody))
			if err != nil {
				return imageBody{}, err
			}
			return imageBody{p.SHA256, p.Type, p.Bytes, p.Width, p.Height}, p.keep(ctx, c.bucket)
		})
	})
}
